"""An unknown name is told with the nearest known one."""

import pytest

from fewshot.errors import unknown_name


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("protnet", ["mtl", "protonet"], "did you mean 'protonet'?"),
        ("zzz", ["mtl", "anil"], "known: anil, mtl"),
        ("zzz", [], "known: none"),
    ],
)
def test_the_hint_is_the_nearest_name_or_all_of_them(name, known, hint):
    assert str(unknown_name("learner", name, known)) == f"unknown learner '{name}': {hint}"
