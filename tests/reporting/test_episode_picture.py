"""Pictures of episodes: the very images, every name readable, mistakes in one line."""

import warnings

import numpy as np
import pytest
from helpers.boxes import overlap
from helpers.commands import run_without_torch
from matplotlib import rc_context, rcParams
from PIL import Image

from fewshot.data import open_source
from fewshot.data.sources.source import Reading
from fewshot.data.store import write_store
from fewshot.episodes.sampling import EpisodeShape, draw_episode
from fewshot.errors import UserError
from fewshot.reporting import episode_picture
from fewshot.reporting.episode_picture import class_images, write_episodes
from fewshot.reporting.plots.style import DPI

PER_CLASS = 12
SHAPE = EpisodeShape(n_way=3, n_shot=2, n_query=4)
NAMES = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]
SPLIT = 'train = ["ant", "bee", "cat", "dog"]\nval = ["elk"]\ntest = ["fox", "gnu"]\n'


def make_store(folder, px=8, names=NAMES, split=SPLIT, per_class=PER_CLASS):
    """A data set of noise in `folder`/zoo."""
    rng, names = np.random.default_rng(0), sorted(names)
    images_IHWC = rng.integers(0, 256, (len(names) * per_class, px, px, 3), np.uint8)
    reading = Reading(
        dict.fromkeys(names, per_class), lambda start, stop: iter([images_IHWC[start:stop]]), {}
    )
    return write_store(folder / "zoo", reading, px, {"split.toml": split})


@pytest.fixture
def zoo(tmp_path):
    make_store(tmp_path)
    return open_source("zoo", "train", tmp_path, {})


@pytest.fixture
def texts(monkeypatch):
    """The texts of each figure that is saved, by what they are, with their boxes in pixels."""
    found = {}

    def spied(figure, path, form):
        found["canvas"] = tuple(DPI * figure.get_size_inches())
        for text in figure.axes[0].texts:
            box = text.get_window_extent()
            found.setdefault(text.get_gid(), []).append((text.get_text(), box))

    monkeypatch.setattr(episode_picture, "save", spied)
    return found


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def places(picture_HWC, tile_HWC):
    """Where in a picture a tile stands, as (top, left)."""
    height, width = tile_HWC.shape[:2]
    first = (picture_HWC[:-height, :-width] == tile_HWC[0, 0]).all(-1)
    return [
        (y, x)
        for y, x in zip(*np.nonzero(first), strict=True)
        if np.array_equal(picture_HWC[y : y + height, x : x + width], tile_HWC)
    ]


@pytest.mark.parametrize(("px", "factor"), [(8, 10), (32, 3), (100, 1)])
def test_each_image_stands_in_the_picture_pixel_by_pixel(tmp_path, px, factor):
    """Enlarged by a whole number; class by class in rows, support before queries."""
    make_store(tmp_path, px)
    source = open_source("zoo", "train", tmp_path, {})
    write_episodes(source, SHAPE, 7, 1, tmp_path / "out.png")
    picture = pixels_of(tmp_path / "out.png")
    found = class_images(draw_episode(7, "train", 0, source.class_sizes, SHAPE), source)
    tops = []
    for images in found:
        shown = [*images.support_KHWC, *images.query_MHWC]
        tiles = [image.repeat(factor, 0).repeat(factor, 1) for image in shown]
        at = [place for tile in tiles for place in places(picture, tile)]
        assert len(at) == len(tiles)
        assert len({top for top, _ in at}) == 1
        lefts = [left for _, left in at]
        assert lefts == sorted(lefts)
        assert min(np.diff(lefts)) > px * factor
        assert lefts[2] - lefts[1] > lefts[1] - lefts[0]  # queries stand apart from the support
        tops.append(at[0][0])
    assert tops == sorted(set(tops))


def test_images_are_those_of_the_episode_and_no_query_is_support(zoo):
    episode = draw_episode(0, "train", 3, [PER_CLASS] * 4, SHAPE)
    everywhere = np.full((len(episode.query_y_Q),), -1)
    for label, images in enumerate(class_images(episode, zoo)):
        class_id = episode.class_ids_N[label]
        assert images.name == NAMES[class_id]
        first = zoo.class_starts[class_id]
        support = zoo.images_IHWC[first + episode.support_NK[label]]
        np.testing.assert_array_equal(images.support_KHWC, support)
        for place, query_HWC in zip(images.queries_M, images.query_MHWC, strict=True):
            expected = zoo.images_IHWC[first + episode.query_Q[place]]
            np.testing.assert_array_equal(query_HWC, expected)
            everywhere[place] = label
    np.testing.assert_array_equal(everywhere, episode.query_y_Q)


def test_large_images_shrink_and_keep_their_look(tmp_path):
    smooth = np.linspace(0, 255, 300, dtype=np.uint8)
    image_HWC = np.broadcast_to(smooth[:, None, None], (300, 300, 3))
    tile = episode_picture._tile(np.ascontiguousarray(image_HWC), episode_picture._tile_px(300))
    assert tile.shape == (128, 128, 3)
    assert abs(tile.mean() - image_HWC.mean()) < 1


LONG = [
    "a-very-long-name-of-a-class-that-goes-on-and-on-and-has-no-space-in-it" * 3,
    "many words " * 15,
    "$x_1$ & \\frac{a}{b}",
    "tab\tand\nnewline",
    "ß",
]


@pytest.mark.parametrize(
    ("shape", "px"),
    [(EpisodeShape(5, 1, 1), 60), (EpisodeShape(5, 1, 1), 200), (EpisodeShape(5, 7, 20), 8)],
)
def test_no_text_overlaps_another_or_leaves_the_picture(tmp_path, texts, shape, px):
    names = sorted(LONG)
    quoted = ", ".join(f'"""{name}"""'.replace("\\", "\\\\") for name in names)
    split = f'train = [{quoted}]\nval = ["v"]\ntest = ["w"]\n'
    make_store(tmp_path, px, [*names, "v", "w"], split, per_class=27)
    source = open_source("zoo", "train", tmp_path, {})
    write_episodes(source, shape, 0, 2, tmp_path / "out.png")
    assert len(texts["name"]) == 10
    width, height = texts["canvas"]
    boxes = [box for kind in ("title", "kind", "name") for _, box in texts[kind]]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        assert not any(overlap(box, other) for other in boxes[:i])
    support = min(box.x0 for text, box in texts["kind"] if text == "support")
    assert all(box.x1 < support for _, box in texts["name"])
    shown = {"".join(text.split()) for text, _ in texts["name"]}
    assert shown == {"".join(name.split()) for name in names}


def test_the_title_says_data_set_split_seed_and_number(zoo, texts, tmp_path):
    write_episodes(zoo, SHAPE, 5, 3, tmp_path / "out.png")
    assert [text for text, _ in texts["title"]] == [
        f"zoo, train split, seed 5: episode {number}" for number in range(3)
    ]


def test_a_name_that_the_font_lacks_is_no_warning(tmp_path):
    names = ["v", "w", "\u9ce5", "\u9b5a", "\u99ac"]
    split = f'train = {names[2:]}\nval = ["v"]\ntest = ["w"]\n'.replace("'", '"')
    make_store(tmp_path, names=names, split=split)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_episodes(open_source("zoo", "train", tmp_path, {}), SHAPE, 0, 1, tmp_path / "out.png")
    assert (tmp_path / "out.png").is_file()


@pytest.mark.parametrize(
    ("name", "begins"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("new/a.pdf", b"%PDF")]
)
def test_the_ending_says_the_format_and_the_same_episodes_give_the_same_bytes(
    zoo, tmp_path, name, begins
):
    write_episodes(zoo, SHAPE, 0, 1, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    assert first.startswith(begins)
    write_episodes(zoo, SHAPE, 0, 1, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize(
    ("shape", "count", "name", "words"),
    [
        (SHAPE, 1, "a.jpg", "a.jpg: unknown format, a picture's name ends in one of .png, .svg"),
        (SHAPE, 1, "picture", "picture: unknown format"),
        (SHAPE, 1000, "a.png", "1000 episodes of 3 classes make a picture .* pixels high, more"),
        (EpisodeShape(9, 1, 1), 1, "a.png", "the train split has 4 classes, fewer than 9 ways"),
        (
            EpisodeShape(3, 5, 8),
            1,
            "a.png",
            "zoo: class 'ant' of the train split has 12 images, fewer than 5 support \\+ 8 query",
        ),
        (SHAPE, 1, "folder.png", "folder.png: cannot write"),
    ],
)
def test_mistakes_are_one_clear_line_and_leave_no_file(zoo, tmp_path, shape, count, name, words):
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=words) as caught:
        write_episodes(zoo, shape, 0, count, tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_highest_picture_that_is_not_refused_can_be_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(episode_picture, "MOST_PX", 1000)
    make_store(tmp_path)
    source, shape = open_source("zoo", "train", tmp_path, {}), EpisodeShape(1, 1, 1)
    write_episodes(source, shape, 0, 5, tmp_path / "out.png")
    assert 800 < len(pixels_of(tmp_path / "out.png")) < 1100
    with pytest.raises(UserError, match="ask for fewer"):
        write_episodes(source, shape, 0, 6, tmp_path / "out.png")


def test_drawing_changes_no_setting_of_matplotlib(zoo, tmp_path):
    with rc_context({"font.size": 31.0}):
        write_episodes(zoo, SHAPE, 0, 1, tmp_path / "out.png")
        assert rcParams["font.size"] == 31


def test_the_command_needs_no_torch(zoo, tmp_path):
    out = tmp_path / "out.png"
    shape = ("--way", 3, "--shot", 2, "--query", 4)
    done = run_without_torch("episodes", "zoo", "--data", tmp_path, "--out", out, *shape)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}\n"
    write_episodes(zoo, SHAPE, 0, 2, tmp_path / "again.png")
    assert out.read_bytes() == (tmp_path / "again.png").read_bytes()
