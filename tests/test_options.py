"""Classes by name, from files and packages; options of frozen dataclasses."""

import sys
from dataclasses import dataclass

import pytest
from helpers.learners import EXAMPLE, with_learner
from hypothesis import given
from hypothesis import strategies as st

from fewshot import options
from fewshot.errors import UserError
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.options import identity, is_in_file, option, short_hash


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
class Before:
    lr: float = 0.1
    widths: tuple[int, ...] = (4, 8)


@dataclass(frozen=True)
class After:
    lr: float = 0.1
    widths: tuple[int, ...] = (4, 8)
    mirror: bool = option(False, added_later=True)
    c: float = option(1.0, test_only=True)


@dataclass(frozen=True)
class Outer:
    inner: After
    name: str = "a"


@given(st.floats(0, 1), st.lists(st.integers(1, 99), max_size=3).map(tuple))
def test_an_option_added_later_stays_out_of_the_hash_at_its_default(lr, widths):
    before, after = identity(Before(lr, widths)), identity(After(lr, widths))
    assert after == before | {"c": 1.0}
    assert identity(After(lr, widths, mirror=True)) == after | {"mirror": True}
    assert identity(Outer(After(lr, widths))) == {"inner": after, "name": "a"}


@given(st.floats(0, 1), st.floats(0, 1))
def test_configurations_share_a_name_only_if_they_are_equal(a, b):
    assert (short_hash(Before(a)) == short_hash(Before(b))) == (a == b)
    assert len(short_hash(Before(a))) == 8


def test_names_never_change():
    assert short_hash(Before()) == "46e7b288"
    assert short_hash(Before(widths=(4, 9))) != short_hash(Before())


def test_a_file_is_told_from_a_name():
    assert is_in_file("mine.py:Mine")
    assert is_in_file("/a:b/mine.py:Mine")
    assert not any(map(is_in_file, ("protonet", "mine.py", "mine:Mine", "mine.py.txt:Mine")))


@pytest.mark.parametrize("fault", ["raise RuntimeError('boom')", "import sys; sys.exit(3)"])
def test_a_package_that_cannot_be_imported_has_no_docstring(tmp_path, monkeypatch, fault):
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package" / "__init__.py").write_text(fault)
    monkeypatch.syspath_prepend(tmp_path)
    assert options.first_doc_line("broken_package.learner:Mine") == ""
    (tmp_path / "mine.py").write_text(fault)
    with pytest.raises(UserError, match="mine.py: (RuntimeError|SystemExit): "):
        LEARNER_REGISTRY.include(f"{tmp_path / 'mine.py'}:Mine", {})
