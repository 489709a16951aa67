"""`import fewshot`: its names, what they need, and every block of docs/notebook.md."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.made_data import DATASETS
from helpers.paths import ROOT
from helpers.tiny import BENCHMARK, write_made, write_near, write_tiny

import fewshot
from fewshot.episodes.sampling import SPLITS
from fewshot.statistics.intervals import mean_ci95

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


# Benchmarks ----------------------------------------------------------------------------------


def test_a_run_returns_its_cells_and_says_what_it_does(folder):
    lines = []
    settings = {"scoring.n_shot": 1, "recipe.steps": 2}
    cells = fewshot.load_benchmark("cifar_fs.toml", settings=settings)
    assert [cell.training.recipe.steps for cell in cells] == [2, 2, 2]
    results = fewshot.run("cifar_fs.toml", settings=settings, say=lines.append, threads=1)
    records = json.loads(fewshot.table(results, form="json"))
    assert {record["learner"] for record in records} == {"pixels", "protonet", "transfer"}
    assert any("trained 2 steps" in line for line in lines)
    lines.clear()
    fewshot.run("cifar_fs.toml", settings=settings, say=lines.append)
    assert lines == ["3 of 3 cells were already done"]


def test_a_run_without_a_finished_cell_is_an_error(folder, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no luck")

    monkeypatch.setattr("fewshot.runner.run.evaluate", fail)
    with pytest.raises(fewshot.UserError, match="no cell is finished"):
        fewshot.run("cifar_fs.toml", learner="pixels", say=lambda line: None)


# One learner ---------------------------------------------------------------------------------


class Colours(torch.nn.Module):
    """The mean colour of an image, as features."""

    def forward(self, x_ICHW):
        return x_ICHW.mean((2, 3))


SCORING = fewshot.Scoring(n_way=3, n_shot=5, n_query=4, episodes=50)


def test_a_frozen_network_is_scored_under_a_learner(folder):
    source = fewshot.open_split("tiny", "test")
    found = {
        name: fewshot.evaluate(Colours(), source, SCORING, learner=name)
        for name in ("protonet", "transfer")
    }
    assert len({score.digest for score in found.values()}) == 1  # the same episodes
    for score in found.values():
        assert score.accuracy > 0.8  # tiny's classes are colours
        assert score.interval == mean_ci95(score.episodes.accuracy.to_numpy())
    with pytest.raises(fewshot.UserError, match="maml adapts its backbone"):
        fewshot.evaluate(Colours(), source, SCORING, learner="maml")


def test_a_trained_learner_is_scored_as_its_data_set_was_scaled(folder, images):
    write_near(images)
    recipe = fewshot.Recipe(steps=2, n_way=3, n_shot=1, n_query=2, validations=0, select="last")
    options = {"filters": 4}
    trained = fewshot.train("protonet", "tiny", recipe, backbone_options=options, say=print)
    assert trained.training.spent.steps == 2
    near = fewshot.open_split("near", "test")
    score = fewshot.evaluate(trained, near, SCORING)
    assert fewshot.evaluate(trained.learner, near, SCORING).accuracy == score.accuracy
    other = replace(near, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    assert fewshot.evaluate(trained, other, SCORING).accuracy == score.accuracy


def test_a_learner_tells_classes_apart_by_any_labels(folder):
    recipe = fewshot.Recipe(steps=1, n_way=3, n_shot=1, n_query=2, validations=0, select="last")
    with pytest.raises(fewshot.UserError, match="pixels is not trained"):
        fewshot.train("pixels", "tiny", recipe)
    trained = fewshot.train("protonet", "tiny", recipe, backbone_options={"filters": 4})
    dark, light = (np.full((2, 16, 16, 3), value, np.uint8) for value in (20, 220))
    labels = ["light", ("dark", 1), "light", ("dark", 1)]
    support = np.stack([light[0], dark[0], light[1], dark[1]])
    query = np.concatenate([dark, light, dark])
    found = fewshot.predict(trained, support, labels, query)
    assert found.labels == [("dark", 1)] * 2 + ["light"] * 2 + [("dark", 1)] * 2
    assert found.classes == ["light", ("dark", 1)]
    assert found.probabilities_QN.shape == (6, 2)
    assert found.probabilities_QN.sum(1) == pytest.approx(1)
    for wrong, words in (
        ((support[:, :8], labels, query), "uint8 of shape"),
        ((support / 255, labels, query), "uint8 of shape"),
        ((support, labels[:3], query), "3 labels for 4 support images"),
    ):
        with pytest.raises(fewshot.UserError, match=words):
            fewshot.predict(trained, *wrong)


def test_a_head_of_fixed_size_is_asked_for_as_many_classes(folder):
    recipe = fewshot.Recipe(steps=1, n_way=3, n_shot=1, n_query=2, validations=0, select="last")
    options = {"options": {"n_way": 3}, "backbone_options": {"filters": 4}}
    trained = fewshot.train("maml", "tiny", recipe, **options)
    images_IHWC = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(fewshot.UserError, match="2 classes, but the learner's head is for 3"):
        fewshot.predict(trained, images_IHWC, [0, 1], images_IHWC)
    assert len(fewshot.predict(trained, images_IHWC[[0, 0, 1]], "abc", images_IHWC).labels) == 2


def test_an_episode_of_a_split_is_the_one_that_learners_meet(folder):
    source, shape = fewshot.open_split("tiny"), fewshot.EpisodeShape(3, 2, 4)
    one, again, next_one = (fewshot.draw_episode(source, shape, i, seed=5) for i in (0, 0, 1))
    assert one.support_x_SCHW.shape == (6, 3, 16, 16)
    assert one.query_x_QCHW.shape == (12, 3, 16, 16)
    assert one.support_y_S.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(one.query_y_Q.tolist()) == sorted([0, 1, 2] * 4)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.support_x_SCHW, next_one.support_x_SCHW)
