"""Options name trainings and cells: what counts, and what an option added later leaves alone."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from fewshot.options import identity, is_in_file, option, short_hash


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
