"""A user's mistake: one line, with the nearest name that exists."""

import pytest

from fewshot.errors import unknown_name


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("protnet", ["mtl", "protonet"], "did you mean 'protonet'?"),
        ("xyz", ["mtl", "anil"], "known: anil, mtl"),
        ("xyz", [], "known: none"),
    ],
)
def test_an_unknown_name_gets_the_nearest_or_all(name, known, hint):
    assert str(unknown_name("learner", name, known)) == f"unknown learner '{name}': {hint}"


def test_a_name_is_asked_for_among_any_iterable():
    assert "did you mean 'mtl'" in str(unknown_name("learner", "mlt", {"mtl": 1, "anil": 2}))
