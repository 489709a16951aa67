"""A learner in a file of its own runs through all commands, the package untouched."""

import json
import re
from importlib.metadata import EntryPoint

import pytest
from helpers.learners import EXAMPLE, LEARNERS, with_learner
from helpers.tiny import BENCHMARK, write_tiny

from fewshot import options
from fewshot.errors import UserError
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.registry import LEARNER_REGISTRY


def test_the_example_is_short():
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 40


def test_it_is_checked(fewshot, mine):
    code, out, _ = fewshot("check", f"{mine}:Matching", "--set", "temperature=0.5")
    assert code == 0
    assert re.search(r"above chance +│ passed", out)
    assert "failed" not in out


def test_it_runs_stands_in_a_table_and_is_compared(fewshot, mine, tmp_path):
    data, benchmark, results = write_tiny(tmp_path / "data"), tmp_path / "b.toml", tmp_path / "r"
    benchmark.write_text(BENCHMARK)
    places = ("--results", results, "--data", data, "--device", "cpu")
    assert fewshot("run", benchmark, *places, "--learner", "protonet")[0] == 0
    spec = f"{mine}:Matching"
    code, out, _ = fewshot("run", benchmark, *places, "--learner", spec)
    assert (code, "Matching" in out) == (0, True)
    code, out, _ = fewshot("table", results / "b", "--format", "json")
    assert {record["learner"] for record in json.loads(out)} == {"Matching", "protonet"}
    code, out, _ = fewshot("compare", results / "b", "Matching", "protonet")
    assert (code, "verdict" in out) == (0, True)

    again = fewshot("run", benchmark, *places, "--learner", spec)[2]
    assert "2 of 2 cells were already done" in again
    mine.write_text(EXAMPLE.replace("0.1", "0.2"))  # another default: another cell
    assert "already done" not in fewshot("run", benchmark, *places, "--learner", spec)[2]
    mine.write_text(EXAMPLE.replace("1e-6", "1e-5"))  # the same cell of another learner
    assert "already done" not in fewshot("run", benchmark, *places, "--learner", spec)[2]


def test_a_benchmark_may_have_a_recipe_for_it(fewshot, mine, tmp_path):
    benchmark = tmp_path / "b.toml"
    benchmark.write_text(f'{BENCHMARK}\n[[training]]\nlearner = "Matching"\nlabel = "own"\n')
    options = ("--dry-run", "--learner", f"{mine}:Matching", "--device", "cpu")
    data = write_tiny(tmp_path / "data")
    code, out, _ = fewshot("run", benchmark, *options, "--data", data)
    assert (code, out.count("tiny-conv4-Matching-")) == (0, 2)
    code, _, err = fewshot("run", benchmark, *options, "--data", tmp_path / "none")
    assert (code, "unknown data set 'tiny'" in err) == (2, True)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "Matching", "no such file"),
        ("x = (", "Matching", "SyntaxError"),
        ("import no_such_package", "Matching", "ModuleNotFoundError: No module named"),
        (EXAMPLE, "Matchin", "did you mean 'Matching'"),
        (EXAMPLE, "Options", "not a class derived from fewshot.protocols.Learner"),
        (
            EXAMPLE.replace("def predict_features", "def forecast"),
            "Matching",
            "no predict_features",
        ),
        (EXAMPLE.replace("    Config = Options\n", ""), "Matching", "class attribute Config"),
        (EXAMPLE.replace("frozen=True", "frozen=False"), "Matching", "a frozen dataclass"),
        (EXAMPLE.replace('"episodes"', '"epochs"'), "Matching", "trains_on, one of episodes"),
        (EXAMPLE.replace("Matching(", "maml("), "maml", "choose another name"),
    ],
)
def test_a_mistake_is_one_line(fewshot, tmp_path, text, name, message):
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    code, out, err = fewshot("check", f"{path}:{name}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_an_unknown_name_suggests_one_that_is_known():
    with pytest.raises(UserError, match="did you mean 'protonet'"):
        with_learner("protonett")


@pytest.fixture
def entry_point(monkeypatch):
    def entry_point(name, value):
        point = EntryPoint(name, value, LEARNER_REGISTRY.group)
        monkeypatch.setattr(options, "entry_points", lambda group: [point])

    return entry_point


def test_an_installed_package_offers_learners_by_name(entry_point, fewshot):
    entry_point("mine", "fewshot.learners.protonet:ProtoNet")
    assert LEARNER_REGISTRY.load() == {**LEARNERS, "mine": ProtoNet}
    assert with_learner("mine")[0] == "mine"
    assert "\nmine " in fewshot("list", "learners")[1]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("protonet", "fewshot.learners.protonet:ProtoNet", "name 'protonet' is taken"),
        ("mine", "no_such_package:Learner", "ModuleNotFoundError"),
        ("mine", "fewshot.runner.benchmark_file:Cell", "not a class derived from"),
    ],
)
def test_a_faulty_entry_point_is_named(entry_point, name, value, message):
    entry_point(name, value)
    with pytest.raises(UserError, match=message):
        LEARNER_REGISTRY.load()
