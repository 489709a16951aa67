"""`fewshot data` and `episodes`: stores and pictures."""

import shutil
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from helpers.commands import is_one_line_of_error
from PIL import Image

from fewshot.data import available


def draw_classes(folder, n_classes=6, per_class=3):
    rng = np.random.default_rng(0)
    for name in (f"class-{c}" for c in range(n_classes)):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_episodes_are_drawn_into_a_file_that_is_printed(fewshot, data, tmp_path):
    shapes = {"small": (2, 1, 2), "large": (3, 2, 4)}
    for name, (way, shot, query) in shapes.items():
        out = tmp_path / f"{name}.png"
        shape = ("--way", way, "--shot", shot, "--query", query)
        done = fewshot("episodes", "tiny", "--data", data, "--out", out, "--split", "test", *shape)
        assert done == (0, f"{out}\n", "")
    small, large = (Image.open(tmp_path / f"{name}.png") for name in shapes)
    with small, large:
        assert small.format == "PNG"
        assert small.height < large.height


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (
            ["--query", 10],
            "class 'class-00' of the train split has 10 images, fewer than 5 support",
        ),
        (["--way", 6, "--query", 5], "the train split has 5 classes, fewer than 6 ways"),
        (["--query", 5, "--episodes", 500], "ask for fewer"),
        (["--query", 5, "--out", "a.gif"], "a.gif: unknown format"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_episodes_that_cannot_be_drawn_are_a_mistake(fewshot, data, tmp_path, options, hint):
    outcome = fewshot("episodes", "tiny", "--data", data, "--out", tmp_path / "a.png", *options)
    assert is_one_line_of_error(outcome)
    assert hint in outcome[2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_episodes_of_glyphs_need_no_download(fewshot, tmp_path):
    out = tmp_path / "new" / "glyphs.svg"
    assert fewshot("episodes", "glyphs", "--data", tmp_path, "--out", out)[:2] == (0, f"{out}\n")
    assert available(tmp_path) == ["glyphs"]
    assert out.read_text().startswith("<?xml")


@pytest.mark.parametrize("packed", [False, True])
def test_own_images_are_imported_described_and_verified(fewshot, tmp_path, packed):
    source, data = draw_classes(tmp_path / "images"), tmp_path / "data"
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "images"), "zip", source))
    arguments = ("mine", source, "--size", 16, "--split", "3/1/2", "--data", data)
    code, out, err = fewshot("data", "import", *arguments)
    assert (code, err) == (0, f"{source.name}: class folders, 18 files\n")
    info = dict(line.split(None, 1) for line in out.splitlines())
    assert (info["name"], info["images"], info["image_size"]) == ("mine", "18", "16")
    assert info["classes"] == "train 3, val 1, test 2"
    assert fewshot("data", "info", "mine", "--data", data) == (0, out, "")
    assert fewshot("data", "info", "--data", data) == (0, out, "")
    assert fewshot("data", "verify", "mine", "--data", data)[0] == 0


def test_no_data_sets_is_said_on_stderr(fewshot, tmp_path):
    code, out, err = fewshot("data", "info", "--data", tmp_path)
    assert (code, out) == (0, "")
    assert "no data sets" in err


@pytest.mark.parametrize("fault", ["not a zip", "a file cut short", "no such file"])
def test_a_bad_zip_is_a_mistake_and_leaves_no_store(fewshot, tmp_path, fault):
    source, data = tmp_path / "images.zip", tmp_path / "data"
    if fault == "not a zip":
        source.write_bytes(b"PK\x03\x04" + bytes(100))
    elif fault == "a file cut short":
        image = next(draw_classes(tmp_path / "images", 3, 2).glob("class-2/1.png"))
        image.write_bytes(image.read_bytes()[:100])
        with ZipFile(source, "w") as archive:
            for path in sorted((tmp_path / "images").rglob("*.png")):
                archive.write(path, path.relative_to(tmp_path / "images"))
    arguments = ("mine", source, "--size", 16, "--split", "1/1/1", "--data", data)
    code, out, err = fewshot("data", "import", *arguments)
    found = "images.zip: class folders, 6 files\n" if fault == "a file cut short" else ""
    assert is_one_line_of_error((code, out, err.removeprefix(found)))
    assert available(data) == []
    assert not [p for p in data.rglob("*") if p.suffix != ".lock"]
