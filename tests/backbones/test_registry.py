"""A backbone in a file of its own runs through the commands, the package untouched."""

import json
import re
from importlib.metadata import EntryPoint

import pytest
from helpers.commands import is_one_line_of_error
from helpers.learners import BACKBONES
from helpers.paths import ROOT
from helpers.tiny import BENCHMARK, write_tiny

from fewshot import options
from fewshot.backbones.conv4 import Conv4
from fewshot.backbones.registry import BACKBONE_REGISTRY, list_backbones
from fewshot.results.files import read_cells, read_training

PAGE = ROOT / "docs" / "adding_a_backbone.md"
EXAMPLE = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
ONE_SHOT = BENCHMARK.replace("n_shot = [1, 5]", "n_shot = 1")


@pytest.fixture
def wide(tmp_path):
    """The backbone of the documentation, in a file of its own."""
    path = tmp_path / "wide.py"
    path.write_text(EXAMPLE)
    return path


@pytest.fixture
def run(fewshot, tmp_path):
    """`fewshot run` of a benchmark's text, into tmp_path/r."""
    data = write_tiny(tmp_path / "data")

    def run(text, *arguments):
        (tmp_path / "b.toml").write_text(text)
        where = ("--results", tmp_path / "r", "--data", data, "--device", "cpu")
        return fewshot("run", tmp_path / "b.toml", *where, *arguments)

    return run


def test_the_example_is_short():
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 40


@pytest.mark.parametrize("learner", ["protonet", "anil"])
def test_learners_are_checked_on_it(fewshot, wide, learner):
    code, out, _ = fewshot("check", learner, "--backbone", f"{wide}:Wide")
    assert (code, "failed" in out) == (0, False)


def test_every_training_is_run_on_it_in_place_of_its_own(run, fewshot, wide, tmp_path):
    spec = f"{wide}:Wide"
    code, out, _ = run(ONE_SHOT, "--backbone", spec, "--set", "backbone_options.filters=8")
    assert (code, out.count("Wide")) == (0, 2)  # pixels needs none
    found = {cell.run.config.training.learner: cell.run.json for cell in read_cells(tmp_path / "r")}
    assert set(found) == {"pixels", "protonet", "transfer"}
    for record in found.values():
        assert record["cell"].startswith("tiny-Wide-")
        assert record["config"]["training"]["backbone_options"] == {"filters": 8}
        assert record["origins"]["backbone"] == "--backbone"
        assert record["backbone_digest"] == options.source_digest(
            BACKBONE_REGISTRY.include(spec, BACKBONES)[1]["Wide"]
        )
    trainings = [read_training(p.parent).json for p in tmp_path.rglob("training.json")]
    assert len({training["backbone_digest"] for training in trainings}) == 1
    code, out, _ = fewshot("table", tmp_path / "r", "--format", "json")
    assert {record["backbone"] for record in json.loads(out)} <= {"Wide", "–", "-", None, ""}


def test_a_changed_file_is_trained_again(run, wide):
    def err(*arguments):
        return run(ONE_SHOT, "--backbone", f"{wide}:Wide", "--learner", "protonet", *arguments)[2]

    assert "trained 3 steps" in err()
    assert err() == "1 of 1 cells were already done\n"
    wide.write_text(EXAMPLE.replace("mean((2, 3))", "amax((2, 3))"))
    assert "trained 3 steps" in err()
    assert err() == "1 of 1 cells were already done\n"


def test_the_suites_own_backbones_leave_no_digest(run, tmp_path):
    run(ONE_SHOT, "--learner", "protonet")
    (cell,) = read_cells(tmp_path / "r")
    assert "backbone_digest" not in cell.run.json
    assert "backbone_digest" not in cell.run.json["training"]


def test_trainings_on_it_alone_are_read_where_the_file_has_some(run, wide):
    more = '[[training]]\nlearner = "protonet"\nbackbone = "wide.py:Wide"\n'
    text = f"{ONE_SHOT}\n{more}backbone_options = {{ filters = 4 }}\n"
    ids = [line.split()[0] for line in run(text, "--dry-run")[1].splitlines() if "tiny-" in line]
    assert [name.split("-")[1] for name in ids] == ["conv4"] * 3 + ["Wide"]
    only = run(text, "--dry-run", "--backbone", f"{wide}:Wide")[1]
    assert re.findall(r"tiny-\w+-\w+-3w1s", only) == ["tiny-Wide-protonet-3w1s"]
    own = run(text, "--dry-run", "--backbone", "conv4", "--learner", "protonet")[1]
    assert re.findall(r"tiny-\w+-\w+-3w1s", own) == ["tiny-conv4-protonet-3w1s"]


def test_trainings_that_differed_in_their_backbone_alone_are_one(run, wide):
    resnet = '[[training]]\nlearner = "protonet"\nbackbone = "resnet12"\n'
    text = f"{ONE_SHOT}\n{resnet}backbone_options = {{ drop_rate = 0 }}\n"
    out = run(text, "--dry-run", "--backbone", f"{wide}:Wide", "--learner", "protonet")[1]
    assert len(re.findall(r"tiny-Wide-protonet-3w1s", out)) == 1


@pytest.mark.parametrize(
    ("old", "new", "name", "message"),
    [
        ("", "", "Wid", "did you mean 'Wide'"),
        ("", "", "Options", "not a class derived from fewshot.protocols.Backbone"),
        ("    Config = Options\n", "", "Wide", "class attribute Config"),
        ("frozen=True", "frozen=False", "Wide", "a frozen dataclass"),
        ("def forward", "def backward", "Wide", "no forward"),
        ("self.out_dim = config.filters", "pass", "Wide", "out_dim"),
        ("self.out_dim = config.filters", "self.out_dim = 7", "Wide", "out_dim"),
        ("Wide(", "conv4(", "conv4", "choose another name"),
    ],
)
def test_a_mistake_is_one_line(fewshot, tmp_path, old, new, name, message):
    path = tmp_path / "mine.py"
    path.write_text(EXAMPLE.replace(old, new) if old else EXAMPLE)
    outcome = fewshot("check", "protonet", "--backbone", f"{path}:{name}")
    assert is_one_line_of_error(outcome)
    assert message in outcome[2]


def test_an_installed_package_offers_backbones_by_name(monkeypatch, fewshot):
    point = EntryPoint("mine", "fewshot.backbones.conv4:Conv4", "fewshot.backbones")
    monkeypatch.setattr(options, "entry_points", lambda group: [point])
    assert BACKBONE_REGISTRY.load() == {**BACKBONES, "mine": Conv4}
    assert list_backbones()["mine"] == list_backbones()["conv4"]


def test_names_are_listed_by_their_docstrings_without_being_run(tmp_path, monkeypatch):
    (tmp_path / "never_run.py").write_text(
        'raise SystemExit\n\n\nclass Mine:\n    """First line.\n\n    More.\n    """\n\n\n'
        "class Bare:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert options.first_doc_line("never_run:Mine") == "First line."
    for nothing in ("never_run:Bare", "never_run:Other", "no_such_package:X", "no.such:X", "sys:X"):
        assert options.first_doc_line(nothing) == ""
