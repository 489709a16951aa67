"""Classes by name, from files and packages; options of frozen dataclasses."""

import re
import sys
from dataclasses import dataclass

import pytest
from helpers.paths import ROOT

from fewshot import options
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.registry import LEARNER_REGISTRY

PAGE = ROOT / "docs" / "adding_a_learner.md"


EXAMPLE = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)


def with_learner(spec):
    return LEARNER_REGISTRY.include(spec, LEARNER_REGISTRY.load())


@pytest.fixture
def mine(tmp_path):
    """The learner of the documentation, in a file of its own."""
    path = tmp_path / "matching.py"
    path.write_text(EXAMPLE)
    return path


def test_a_file_is_known_by_its_content(mine):
    name, learners = with_learner(f"{mine}:Matching")
    one = options.source_digest(learners[name])
    assert options.source_digest(with_learner(f"{mine}:Matching")[1][name]) == one
    mine.write_text(EXAMPLE + "\n")
    assert options.source_digest(with_learner(f"{mine}:Matching")[1][name]) != one


def test_a_file_may_import_its_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "neighbour_of_mine.py").write_text("TEMPERATURE = 2.0\n")
    source = f"from neighbour_of_mine import TEMPERATURE\n{EXAMPLE}"
    (tmp_path / "mine.py").write_text(source)
    name, learners = with_learner(f"{tmp_path / 'mine.py'}:Matching")
    assert name in learners


def test_the_suites_own_learners_have_no_digest_of_their_own():
    assert options.source_digest(ProtoNet) is None


def test_names_are_listed_by_their_docstrings_without_being_run(tmp_path, monkeypatch):
    (tmp_path / "never_run.py").write_text(
        'raise SystemExit\n\n\nclass Mine:\n    """First line.\n\n    More.\n    """\n\n\n'
        "class Bare:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert options.first_doc_line("never_run:Mine") == "First line."
    for nothing in ("never_run:Bare", "never_run:Other", "no_such_package:X", "no.such:X", "sys:X"):
        assert options.first_doc_line(nothing) == ""


@dataclass(frozen=True)
class Choices:
    c: float = 1.0
    later: bool = options.option(False, added_later=True)


def test_an_option_added_later_is_in_the_hash_only_where_it_is_used():
    assert options.identity(Choices()) == {"c": 1.0}
    assert options.identity([Choices(later=True)]) == [{"c": 1.0, "later": True}]
    hashes = {options.short_hash(Choices(c=1.0, later=value)) for value in (False, True)}
    assert len(hashes) == 2
    assert options.short_hash(Choices()) == options.short_hash({"c": 1.0})
