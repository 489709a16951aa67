"""Benchmarks by name: shipped ones, files, and classes from outside."""

import pytest
from helpers.learners import LEARNERS
from helpers.paths import ROOT
from helpers.tiny import BENCHMARK

from fewshot.errors import UserError
from fewshot.runner.benchmark import load_benchmark
from fewshot.runner.benchmark_file import shipped_benchmarks

RESULTS = ROOT / "results"


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


@pytest.mark.parametrize("name", list(shipped_benchmarks()))
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
def test_committed_cells_keep_their_names(name):
    """They are found by them: an option added later must not move them."""
    committed = {path.name for path in (RESULTS / name).iterdir()}
    assert committed <= {cell.id for cell in load_benchmark(name)}
