"""The figures: right, readable, and the same bytes each time."""

import math
import re
import subprocess
import sys
import time
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from helpers.boxes import overlap
from helpers.cell_folders import on_disk, trained
from helpers.cells import altered, made_cell
from helpers.paths import ROOT
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text

from fewshot.errors import UserError
from fewshot.reporting.plots import FIGURES, draw_figures, forest
from fewshot.reporting.plots.distribution import shares
from fewshot.reporting.plots.figure_data import figure_data_of
from fewshot.reporting.plots.labels import Box
from fewshot.reporting.plots.style import MISS_HATCH, fixed_style
from fewshot.results.files import read_cells
from fewshot.statistics.intervals import mean_ci95

COMMITTED = ROOT / "docs" / "figures" / "cifar_fs_pareto.svg"
NAMES = [
    "protonet",
    "mtl",
    "maml",
    "fomaml",
    "r2d2",
    r"$\frac$ & <script>",
    "a long name of a learner",
]
UNITS = re.compile(r"\((s|min|h|d|%|s, min, h; .*|thousands; .*|shots; .*|percentage points)\)$")
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}


@pytest.fixture(scope="module")
def committed(committed_results):
    return read_cells(committed_results / "cifar_fs")


def episodes(mean, n=60, seed=0):
    """Accuracies that can occur with 75 queries; the same difficulties for every learner."""
    difficulty = np.random.default_rng(1).normal(0, 0.1, n)
    noise = np.random.default_rng([2, seed]).normal(0, 0.02, n)
    return np.round(75 * np.clip(mean + difficulty + noise, 0, 1)) / 75


def crowd(folder, names=NAMES, seeds=1):
    """Rows near each other in time and accuracy, at 1 and 5 shots; one of each odd kind."""
    made = []
    for i, name in enumerate(names):
        mean = 0.55 + 0.01 * i
        options = {"batch_norm": "support"} if i % 3 == 2 else {}
        for shot in (1, 5):
            for seed in range(seeds):
                test = episodes(mean + 0.1 * (shot == 5), seed=i)
                levels = mean + np.array([-0.2, -0.1, -0.05]) + 0.01 * seed
                made.append(
                    trained(
                        name,
                        *levels,
                        seconds=60.0 + i,
                        test=test,
                        n_shot=shot,
                        seed=seed,
                        label="with a label, and more of it" if i % 2 else "",
                        **options,
                    )
                )
    elsewhere = made_cell("elsewhere", *episodes(0.6), gpu="A100", transductive=True)
    floor = made_cell("pixels", *episodes(0.25), trained=False, training_classes=None)
    return on_disk(folder, *made, (elsewhere, []), (floor, []))


def drawn(cells, name, to_reach=None):
    with fixed_style():
        (facts,) = figure_data_of(cells, to_reach, verdicts=name == "forest")
        figure = FIGURES[name](facts)
        if not isinstance(figure, str):
            figure.draw_without_rendering()
        return facts, figure


def texts(figure):
    """Every text that is seen: of ticks, those within the limits of their axis."""
    found = [t for artist in figure.findobj(Text) for t in [artist] if t.get_text().strip()]
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    hidden |= {id(tick.label1), id(tick.label2)}
    return [t for t in found if t.get_visible() and id(t) not in hidden]


def box_of(text):
    box = text.get_window_extent()
    return Box(box.x0 + 0.01, box.y0 + 0.01, box.x1 - 0.01, box.y1 - 0.01)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, committed):
    """Cells that figures are looked at with."""
    two = trained("mtl", 0.4, n_shot=1, test=episodes(0.5)), trained("mtl", 0.4, test=episodes(0.6))
    return {
        "committed": committed,
        "crowd": crowd(tmp_path_factory.mktemp("crowd"), seeds=3),
        "one": on_disk(tmp_path_factory.mktemp("one"), *two),
    }


SLOW_FIGURES = [pytest.param("committed", "forest", marks=pytest.mark.slow)]
QUICK_FIGURES = [
    *(("committed", name) for name in FIGURES if name != "forest"),
    *(("crowd", name) for name in FIGURES),
    *(("one", name) for name in FIGURES if name != "forest"),
]


@pytest.mark.parametrize(("kind", "name"), QUICK_FIGURES + SLOW_FIGURES)
def test_a_figure_is_readable(kinds, kind, name):
    """No text on another or off the page, none too small, a unit on every axis."""
    _, figure = drawn(kinds[kind], name)
    seen = [(text.get_text(), box_of(text)) for text in texts(figure)]
    for text, box in seen:
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1, text
        assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1, text
    for (text, box), (other, its_box) in combinations(seen, 2):
        assert not overlap(box, its_box), (text, other)
    assert min(text.get_fontsize() for text in texts(figure)) >= 8
    for axes in figure.axes:
        assert UNITS.search(axes.get_xlabel()), axes.get_xlabel()
        ticks = [text.get_text() for text in axes.get_yticklabels()]
        has_numbers = any(re.fullmatch(r"[−\d.,]+", text) for text in ticks)
        assert axes.get_ylabel().endswith("(%)") == has_numbers
    (caption,) = [t for t in figure.texts if t.get_gid() == "caption"]
    for said in ("commit", "threads"):
        assert said in caption.get_text()


@pytest.mark.parametrize("name", ["pareto", "forest", "shots"])
def test_captions_say_what_the_interval_is(kinds, name):
    _, figure = drawn(kinds["crowd"], name)
    words = " ".join(text.get_text() for text in figure.texts)
    assert "95 %" in words
    assert "not over training seeds" in " ".join(words.split())


def annotations(axes):
    return [t.get_text() for t in axes.texts if t.get_text()]


def test_the_front_is_drawn_and_every_point_named(tmp_path):
    cells = on_disk(
        tmp_path,
        trained("slow", 0.5, train_s=1000.0, test=(0.849, 0.851)),
        trained("fast", 0.5, train_s=10.0, test=(0.549, 0.551)),
        trained("beaten", 0.5, train_s=500.0, test=(0.449, 0.451)),
        trained("cheat", 0.5, train_s=5.0, test=(0.949, 0.951), transductive=True),
        (made_cell("elsewhere", 0.949, 0.951, train_s=5.0, gpu="A100"), []),
        (made_cell("pixels", 0.149, 0.151, trained=False), []),
    )
    _, figure = drawn(cells, "pareto")
    (axes,) = figure.axes
    (front,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    x, y = front.get_data()
    assert x[:-1] == pytest.approx([10.0, 1000.0])
    assert y[:-1] == pytest.approx([55.0, 85.0])
    assert x[-1] == axes.get_xlim()[1]
    assert sorted(annotations(axes)) == [
        "beaten/conv4",
        "cheat/conv4",
        "elsewhere/conv4 †",
        "fast/conv4",
        "not trained: pixels 15.0 ± 1.3 %, below",
        "slow/conv4",
    ]
    bars = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    assert len(bars) == 5
    first = [c.lines[0] for c in bars if c.lines[0].get_xdata()[0] == 5.0]
    assert len({line.get_marker() for line in first}) == 2  # one of them is transductive


def test_error_bars_are_the_intervals(tmp_path):
    test = episodes(0.6)
    _, figure = drawn(on_disk(tmp_path, trained("mtl", 0.5, test=test)), "pareto")
    (bars,) = [c for c in figure.axes[0].containers if isinstance(c, ErrorbarContainer)]
    (low, high) = bars.lines[2][0].get_segments()[0][:, 1]
    mean, half = mean_ci95(test)
    assert (low, high) == pytest.approx((100 * (mean - half), 100 * (mean + half)))


def test_labels_do_not_cover_points(kinds):
    _, figure = drawn(kinds["crowd"], "pareto")
    for axes in figure.axes:
        bars = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
        at = [axes.transData.transform(c.lines[0].get_xydata()[0]) for c in bars]
        boxes = [box_of(t) for t in axes.texts if t.get_text()]
        assert len(boxes) == len(bars) + (axes is figure.axes[1])  # the floor has 5 shots alone
        for box in boxes:
            assert not any(box.x0 < x < box.x1 and box.y0 < y < box.y1 for x, y in at)


def test_a_miss_is_shown_as_a_miss(tmp_path):
    cells = on_disk(
        tmp_path,
        trained("hit", 0.2, 0.6, 0.9, seconds=20.0),
        trained("miss", 0.2, 0.3, seconds=32.5),
    )
    _, figure = drawn(cells, "target", to_reach=0.55)
    (axes,) = figure.axes
    hit, miss = axes.patches
    assert axes.get_xlabel().endswith("(s)")
    assert (hit.get_width(), miss.get_width()) == (40.0, 65.0)  # to the end of its budget
    assert (hit.get_hatch(), miss.get_hatch()) == (None, MISS_HATCH)
    assert (
        mpl.colors.to_hex(miss.get_facecolor())
        == "#ffffff"
        != mpl.colors.to_hex(hit.get_facecolor())
    )
    assert annotations(axes) == ["40 s", "not reached in 65 s"]
    assert axes.get_title(loc="left") == "made, 5-way 5-shot: 55.0 % in validation"
    caption = " ".join(t.get_text() for t in figure.texts)
    assert "set by --target" in caption


def test_seeds_that_missed_are_open_dots(tmp_path):
    cells = on_disk(
        tmp_path,
        trained("mtl", 0.6, 0.7, seed=0),
        trained("mtl", 0.1, 0.6, seed=1),
        trained("mtl", 0.1, 0.2, seed=2),
    )
    _, figure = drawn(cells, "target", to_reach=0.6)
    (axes,) = figure.axes
    dots = sorted((line.get_xdata()[0], line.get_markerfacecolor()) for line in axes.lines)
    assert dots == [(10.0, "#000000"), (20.0, "#000000"), (20.0, "white")]
    assert [bar.get_width() for bar in axes.patches] == [20.0]  # the median of 10, 20 and never
    assert annotations(axes) == ["20 s (2 of 3 seeds)"]


def test_without_a_target_it_is_the_level_of_the_weakest(tmp_path):
    cells = on_disk(tmp_path, trained("a", 0.3, 0.8), trained("b", 0.2, 0.4), trained("c", 0.5))
    _, figure = drawn(cells, "target")
    assert "40.0 %" in figure.axes[0].get_title(loc="left")
    assert "weakest trained learner" in " ".join(figure.texts[-1].get_text().split())


def test_the_target_of_the_benchmark_stands_unless_another_is_asked_for(tmp_path):
    cells = on_disk(tmp_path, trained("a", 0.3, 0.8), trained("b", 0.2, 0.4))
    cells = [altered(cell, {"config.target": 0.35}) for cell in cells]
    _, figure = drawn(cells, "target")
    assert "35.0 %" in figure.axes[0].get_title(loc="left")
    assert "that of the benchmark file" in " ".join(figure.texts[-1].get_text().split())
    _, figure = drawn(cells, "target", to_reach=0.5)
    assert "50.0 %" in figure.axes[0].get_title(loc="left")
    assert "set by --target" in " ".join(figure.texts[-1].get_text().split())
    cells[0] = altered(cells[0], {"config.target": 0.7})
    _, figure = drawn(cells, "target")
    assert "40.0 %" in figure.axes[0].get_title(loc="left")


def test_bands_are_of_seeds_alone(tmp_path):
    one = on_disk(tmp_path / "one", trained("mtl", 0.5, 0.6))
    _, figure = drawn(one, "validation")
    assert not figure.axes[0].collections
    several = on_disk(
        tmp_path / "two", *(trained("mtl", 0.4 + s / 10, 0.6 + s / 10, seed=s) for s in (0, 1))
    )
    _, figure = drawn(several, "validation")
    for axes in figure.axes:
        (band,) = axes.collections
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((40, 70))
    assert "from the lowest seed to the highest" in " ".join(figure.texts[0].get_text().split())


def test_the_forest_holds_each_row_against_the_best_of_its_protocol(tmp_path):
    low, high, other = episodes(0.5), episodes(0.6, seed=1), episodes(0.9, seed=2)
    same = high - np.random.default_rng(3).normal(0.0005, 0.01, len(high))
    cells = on_disk(
        tmp_path,
        trained("low", 0.5, test=low),
        trained("high", 0.5, test=high),
        trained("same", 0.5, test=same),
        trained("other", 0.5, test=other, batch_norm="support"),
        (made_cell("pixels", *episodes(0.2), trained=False), []),
    )
    facts, figure = drawn(cells, "forest")
    sections = forest.sections_of(facts, "made 5w5s")
    by_name = {p.name: p.place for p in facts.points}
    found = {h.point.name: (place, h) for place, held in sections.items() for h in held}
    best = facts.of_column("made 5w5s")[1].name  # after `other`, which has no rival
    assert set(found) == {"low/conv4", "high/conv4", "same/conv4", "pixels"} - {best}
    place, held = found["low/conv4"]
    assert place == by_name[best]
    best_E = high if best == "high/conv4" else same
    assert held.difference == pytest.approx(mean_ci95(low - best_E))
    assert held.beaten
    near = found[({"high/conv4", "same/conv4"} - {best}).pop()][1]
    assert not near.beaten
    assert found["pixels"][0] == by_name["other/conv4"]  # the floor is held against any row
    (axes,) = figure.axes
    assert [t for t in annotations(axes) if t == "off the scale"]
    faces = {
        c.lines[0].get_xdata()[0]: c.lines[0].get_markerfacecolor()
        for c in axes.containers
        if isinstance(c, ErrorbarContainer)
    }
    assert faces[100 * near.difference.mean] == "white"
    assert faces[100 * held.difference.mean] != "white"


def test_every_accuracy_that_can_occur_has_a_bin():
    accuracies = np.array([0, 1, 1, 74, 75]) / 75
    edges, share = shares(accuracies, 75)
    assert len(share) == 76
    assert share[[0, 1, 74, 75]] == pytest.approx([0.2, 0.4, 0.2, 0.2])
    assert share.sum() == pytest.approx(1)
    assert edges[0] < 0 < edges[1]


@pytest.mark.parametrize("queries", [1, 99, 100, 101, 300, 1000])
def test_bins_are_few_and_hold_as_many_accuracies_each(queries):
    every = np.arange(queries + 1) / queries
    edges, share = shares(every, queries)
    assert len(share) == len(edges) - 1 <= 100
    assert share.sum() == pytest.approx(1)
    assert share[:-1] == pytest.approx(share[0])  # the last may have fewer


@pytest.mark.parametrize("form", MAGIC)
def test_every_format_is_written_and_repeats_to_the_byte(tmp_path, form):
    cells = crowd(tmp_path / "cells", NAMES[:2])
    only = "target" if form == "pdf" else None  # fonts in PDF files take their time
    first = draw_figures(cells, tmp_path / "first", form, only=only)
    again = draw_figures(cells, tmp_path / "again", form, only=only)
    names = FIGURES if only is None else [only]
    assert [path.name for path in first] == [f"made_{name}.{form}" for name in names]
    for one, other in zip(first, again, strict=True):
        data = one.read_bytes()
        assert data.startswith(MAGIC[form])
        assert data == other.read_bytes()
        assert b"20" + time.strftime("%y-%m-%d").encode() not in data


def test_the_command_names_its_files_and_what_it_leaves_out(tmp_path, fewshot):
    on_disk(tmp_path / "cells", (made_cell("mtl", *episodes(0.5)), []))
    code, out, err = fewshot("plot", tmp_path / "cells", "--out", tmp_path / "out")
    assert code == 0
    files = [tmp_path / "out" / f"made_{name}.png" for name in ("pareto", "distribution")]
    assert out.split() == [str(path) for path in files]
    assert sorted((tmp_path / "out").iterdir()) == sorted(files)
    assert err.splitlines() == [
        "made: no validation figure: no validation curve",
        "made: no target figure: no validation curve",
        "made: no forest figure: no two rows of one protocol",
        "made: no shots figure: one number of shots alone",
    ]


def test_one_figure_alone(tmp_path, fewshot):
    on_disk(tmp_path / "cells", trained("mtl", 0.5))
    code, out, err = fewshot(
        *("plot", tmp_path / "cells", "--out", tmp_path, "--only", "target", "--format", "svg")
    )
    assert (code, out.split(), err) == (0, [str(tmp_path / "made_target.svg")], "")


def test_a_data_set_has_figures_of_its_own(tmp_path):
    cells = on_disk(
        tmp_path,
        (made_cell("mtl", dataset="cifar-fs"), []),
        (made_cell("mtl", dataset="my/data"), []),
    )
    found = draw_figures(cells, tmp_path / "out", only="distribution")
    assert [p.name for p in found] == ["cifar_fs_distribution.png", "my_data_distribution.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "jpg"), "unknown format 'jpg'"),
        (("--target", "60"), "target 60: an accuracy is above 0 and at most 1"),
        (("--target", "0"), "target 0:"),
        (("--only", "pareta"), "unknown figure 'pareta': did you mean 'pareto'?"),
        (("--out", "FILE"), "cannot write"),
    ],
)
def test_a_users_mistake_is_one_line(tmp_path, fewshot, arguments, message):
    on_disk(tmp_path / "cells", trained("mtl", 0.5))
    (tmp_path / "file").write_text("")
    given = [str(tmp_path / "file") if a == "FILE" else a for a in arguments]
    code, out, err = fewshot("plot", tmp_path / "cells", "--out", tmp_path / "out", *given)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_folder_without_cells_is_a_users_mistake(tmp_path, fewshot):
    assert fewshot("plot", tmp_path) == (2, "", f"error: no finished cells in {tmp_path}\n")


def test_nothing_is_drawn_before_all_is_asked_rightly(tmp_path):
    cells = on_disk(tmp_path / "cells", trained("mtl", 0.5))
    with pytest.raises(UserError):
        draw_figures(cells, tmp_path / "out", target=math.nan)
    assert not (tmp_path / "out").exists()


def test_plots_need_no_torch_and_no_global_figures():
    code = (
        "import sys; from fewshot.reporting.plots import draw_figures; "
        "sys.exit(bool({'torch', 'torchvision', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, fewshot.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_committed_figure_is_that_of_its_cells(tmp_path, committed):
    """Made by `fewshot plot results/cifar_fs --only pareto --format svg --out docs/figures`."""
    made_with = re.search(r"Matplotlib v([\w.]+)", COMMITTED.read_text())
    assert made_with
    if made_with[1] != mpl.__version__:
        pytest.skip(f"drawn by matplotlib {made_with[1]}, this is {mpl.__version__}")
    (path,) = draw_figures(committed, tmp_path, "svg", only="pareto")
    assert path.name == COMMITTED.name
    assert path.read_bytes() == COMMITTED.read_bytes()
    assert len(path.read_bytes()) < 300_000


@pytest.mark.slow
def test_500_cells_of_10000_episodes_are_drawn_fast(tmp_path):
    n, rng = 10_000, np.random.default_rng(0)
    base = rng.integers(20, 70, n) / 75
    cells = []
    for i in range(250):
        accuracies = np.clip(base + rng.integers(-5 + i // 50, 6, n) / 75, 0, 1)
        curve = (0.3, 0.5 + i / 1000)
        cells += [trained(f"learner-{i}", *curve, test=accuracies, n_shot=shot) for shot in (1, 5)]
    read = on_disk(tmp_path / "cells", *cells)
    seconds = {}
    for name in ("pareto", "validation", "target", "distribution", "shots"):
        start = time.process_time()
        draw_figures(read, tmp_path / "out", only=name)
        seconds[name] = time.process_time() - start
    (facts,) = figure_data_of(
        read, None, verdicts=False
    )  # how fast those are is for their own tests
    start = time.process_time()
    with fixed_style():
        FIGURES["forest"](facts)
    seconds["forest"] = time.process_time() - start
    assert max(seconds.values()) < 30, seconds
