"""Benchmarks by name: shipped ones, files, and classes from outside."""

import json

import pytest
from helpers.checkout import shipped
from helpers.learners import LEARNERS
from helpers.tiny import BENCHMARK, write_tiny

import fewshot
from fewshot.errors import UserError
from fewshot.runner.benchmark import load_benchmark, open_benchmark
from fewshot.runner.benchmark_file import shipped_benchmarks
from fewshot.runner.workspace import open_workspace


def test_a_learner_can_be_chosen_by_name(load, tmp_path):
    load()
    file = tmp_path / "bench.toml"
    file.write_text(BENCHMARK)
    cells = load_benchmark(str(file), learner="transfer")
    assert {cell.training.learner for cell in cells} == {"transfer"}
    with pytest.raises(UserError, match="did you mean 'transfer'"):
        load_benchmark(str(file), learner="transfr")


def test_a_learner_that_the_file_does_not_name_gets_its_defaults(load, tmp_path):
    file = tmp_path / "bench.toml"
    file.write_text(BENCHMARK)
    cells = load_benchmark(str(file), settings={"recipe.steps": 7}, learner="mtl")
    assert [cell.scoring.n_shot for cell in cells] == [1, 5]
    assert cells[0].training.recipe.steps == 7
    assert cells[0].training.recipe.batch_size == 8
    assert cells[0].origins["learner"] == "bench [[training]]"


@pytest.mark.parametrize("name", shipped(shipped_benchmarks()))
def test_shipped_benchmarks_have_cells_and_a_description(name):
    assert load_benchmark(name)
    assert shipped_benchmarks()[name].startswith("# ")


def test_the_paper_has_every_learner_on_every_data_set_at_both_shots():
    cells = load_benchmark("paper")
    asked = {(c.training.dataset, c.training.learner, c.scoring.n_shot) for c in cells}
    names = ("mini-imagenet", "tiered-imagenet", "cifar-fs", "fc100")
    assert asked == {(d, n, k) for d in names for n in LEARNERS for k in (1, 5)}
    assert len(cells) == len(asked)
    assert {c.scoring.episodes for c in cells} == {2000}


@pytest.mark.parametrize("name", ["cifar_fs", "fc100", "mini_imagenet"])
def test_committed_cells_keep_their_names(name, committed_results):
    """They are found by them: an option added later must not move them."""
    committed = {path.name for path in (committed_results / name).iterdir()}
    assert committed <= {cell.id for cell in load_benchmark(name)}


MINE = """
from fewshot.learners.protonet import ProtoNet
from fewshot.data.sources.glyphs import GLYPHS
from dataclasses import replace


class Mine(ProtoNet):
    pass


INK = replace(GLYPHS, name="ink")
"""


def test_a_file_may_name_classes_in_files_beside_it(tmp_path, monkeypatch):
    """As `FILE.py:CLASS`, for learners, backbones and data sets; each has its own name then."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "benchmarks" / "b.toml"
    named = BENCHMARK.replace('"protonet"', '"mine.py:Mine"')
    file.write_text(named.replace('dataset = "tiny"', 'dataset = ["tiny", "mine.py:INK"]'))
    (tmp_path / "benchmarks" / "mine.py").write_text(MINE)
    (tmp_path / "elsewhere" / "mine.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path / "elsewhere")
    opened = open_benchmark(str(file), open_workspace(tmp_path, tmp_path))
    assert {c.training.learner for c in opened.cells} == {"pixels", "Mine", "transfer"}
    assert {c.training.dataset for c in opened.cells} == {"tiny", "ink"}
    ids = {c.training.id for c in opened.cells}
    assert any(name.startswith("ink-conv4-Mine-s0-") for name in ids)
    assert opened.workspace.datasets["ink"].name == "ink"
    assert opened.workspace.learners["Mine"].__name__ == "Mine"
    # From the current folder where there is none beside the benchmark; and by `--set`.
    (tmp_path / "elsewhere" / "other.py").write_text(MINE.replace("Mine", "Other"))
    settings = {"learner": "other.py:Other", "dataset": "tiny"}
    cells = load_benchmark(str(file), learner="transfer", settings=settings)
    assert {c.training.learner for c in cells} == {"Other"}


def test_two_classes_of_one_name_are_refused(tmp_path):
    file = tmp_path / "b.toml"
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "other.py").write_text(MINE)
    file.write_text(
        BENCHMARK.replace('"protonet"', '"mine.py:Mine"').replace('"pixels"', '"other.py:Mine"')
    )
    with pytest.raises(UserError, match="there is a learner 'Mine': choose another name"):
        load_benchmark(str(file))
    file.write_text(BENCHMARK.replace('"protonet"', '"mine.py:Mine"') + 'label = "again"\n')
    assert len(load_benchmark(str(file), learner=f"{tmp_path / 'mine.py'}:Mine")) == 2


def test_settings_may_be_a_table(tmp_path):
    file = tmp_path / "b.toml"
    file.write_text(BENCHMARK)
    settings = {"recipe.lr": 0.5, "seeds": [0, 1], "scoring.n_shot": 1, "label": "a b"}
    cells = load_benchmark(str(file), learner="transfer", settings=settings)
    assert [(c.training.seed, c.training.recipe.lr, c.label) for c in cells] == [
        (0, 0.5, "a b"),
        (1, 0.5, "a b"),
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder beside a benchmark file and images of `tiny`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_DATA", str(write_tiny(tmp_path / "data")))
    (tmp_path / "cifar_fs.toml").write_text(BENCHMARK)
    return tmp_path


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


def test_a_benchmark_may_be_a_path(tmp_path):
    file = tmp_path / "bench.toml"
    file.write_text(BENCHMARK)
    assert fewshot.load_benchmark(file) == fewshot.load_benchmark(str(file))


def test_a_split_of_another_name_is_refused():
    with pytest.raises(fewshot.UserError, match="unknown split 'Train'"):
        fewshot.open_split("glyphs", "Train")
