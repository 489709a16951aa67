"""`import fewshot`: its names, what they need, and every block of docs/notebook.md."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.made_data import DATASETS
from helpers.paths import ROOT
from helpers.tiny import BENCHMARK, write_made, write_tiny

import fewshot
from fewshot.episodes.sampling import SPLITS

PAGE = (ROOT / "docs" / "notebook.md").read_text()


BLOCKS = re.findall(r"## ([^\n]*)\n\n```python\n(.*?)```", PAGE, re.DOTALL)


NAMES = re.findall(
    r"\w+",
    """run load_benchmark list_learners list_backbones list_datasets check train evaluate
    open_split draw_episode read_results compare table plot report predict
    Learner FeatureLearner Backbone EpisodeBatch ImageBatch option
    EpisodeShape Episode Recipe Scoring Cell UserError""",
)


WITHOUT_TORCH = re.findall(
    r"\w+",
    """list_learners list_backbones list_datasets open_split read_results compare table plot report
    option EpisodeShape Episode Recipe Scoring Cell UserError""",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A data folder with noise by the name of cifar-fs, and `tiny`."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    split = DATASETS["cifar-fs"].split()
    sizes = dict.fromkeys(sorted(c for part in SPLITS for c in split.classes(part)), 21)
    pixels = rng.integers(0, 256, (21 * len(sizes), 16, 16, 3), dtype=np.uint8)
    write_made(folder, "cifar-fs", sizes, pixels, None)
    return write_tiny(folder)


@pytest.fixture
def folder(images, tmp_path, monkeypatch):
    """An empty working folder beside a benchmark file and that data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_DATA", str(images))
    (tmp_path / "cifar_fs.toml").write_text(BENCHMARK)
    return tmp_path


def test_the_public_names_are_these():
    assert sorted(fewshot.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(fewshot))
    table = PAGE.split("## All names")[1]
    assert sorted(NAMES) == sorted(re.findall(r"`(\w+)`", table.split("`help")[0]))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_says_what_it_does(name):
    assert getattr(fewshot, name).__doc__


def test_another_name_is_an_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        fewshot.trian  # noqa: B018


def test_the_reading_half_needs_no_torch():
    script = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "import fewshot\n"
        f"print(all(getattr(fewshot, name) for name in {WITHOUT_TORCH}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_the_five_uses_take_five_lines_or_fewer():
    assert len(BLOCKS) == 6
    lines = {title: [line for line in text.splitlines() if line] for title, text in BLOCKS}
    for title, text in lines.items():
        assert len(text) <= (5 if "trained" not in title else 6), title


@pytest.mark.parametrize(("title", "text"), BLOCKS, ids=[title for title, _ in BLOCKS])
def test_a_block_of_the_page_runs_as_it_stands(title, text, folder, images, capsys):
    """But for numbers that take an hour, and the file of the benchmark."""
    if "results/cifar_fs" in text:
        fewshot.run("cifar_fs.toml", say=lambda line: None)
    text = text.replace("400_000", "200").replace('run("cifar_fs"', 'run("cifar_fs.toml"')
    rng = np.random.default_rng(0)
    support, query = (rng.integers(0, 256, (n, 16, 16, 3), np.uint8) for n in (2, 3))
    exec(text, {"support_images": support, "query_images": query})
    out = capsys.readouterr().out
    if "frame" in title:
        assert "accuracy" in out
    elif "tensors" in title:
        assert out.startswith("torch.Size([25, 3, 16, 16]) tensor([0, 0, 0, 0, 0, 1")
    elif "scored" in title:
        mean = float(re.search(r"mean=([\d.]+)", out)[1])
        assert 0.15 < mean < 0.3  # noise
    elif "benchmark" in title:
        assert "protonet" in out
        assert "pixels" not in out
    elif "rows" in title:
        assert re.findall(r"tiny 3w\ds", out) == ["tiny 3w1s", "tiny 3w5s"]
    else:
        assert re.search(r"\['(cat|dog)', '(cat|dog)', '(cat|dog)'\]", out)


def test_an_episode_of_a_split_is_the_one_that_learners_meet(folder):
    source, shape = fewshot.open_split("tiny"), fewshot.EpisodeShape(3, 2, 4)
    one, again, next_one = (fewshot.draw_episode(source, shape, i, seed=5) for i in (0, 0, 1))
    assert one.support_x_SCHW.shape == (6, 3, 16, 16)
    assert one.query_x_QCHW.shape == (12, 3, 16, 16)
    assert one.support_y_S.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(one.query_y_Q.tolist()) == sorted([0, 1, 2] * 4)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.support_x_SCHW, next_one.support_x_SCHW)
