"""Class splits: disjoint, complete, and the published ones."""

import tomllib
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewshot.data.splits import (
    ClassSplit,
    check_class_sizes,
    choose_split,
    format_split,
    load_split,
    parse_split,
    split_by_fractions,
    tiered_super_categories,
)
from fewshot.episodes.sampling import SPLITS
from fewshot.errors import UserError

SPLIT = ClassSplit(("a", "b"), ("c",), ("d",), "test")
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("name", "counts"),
    [("cifar-fs", (64, 16, 20)), ("fc100", (60, 20, 20)), ("mini-imagenet", (64, 16, 20))],
)
def test_the_published_splits_are_disjoint_and_complete(
    name: str, counts: tuple[int, int, int]
) -> None:
    split = load_split(name)
    assert tuple(len(split.classes(part)) for part in SPLITS) == counts
    assert len({*split.train, *split.val, *split.test}) == 100
    assert split.source.count(" ") > 2  # says who made it


def test_both_cifar_splits_are_of_the_same_classes() -> None:
    fs, fc100 = load_split("cifar-fs"), load_split("fc100")
    fs.check_classes((*fc100.train, *fc100.val, *fc100.test))


def test_fc100_keeps_superclasses_together() -> None:
    split = load_split("fc100")
    assert {"baby", "boy", "girl", "man", "woman"} <= set(split.test)
    assert {"bear", "leopard", "lion", "tiger", "wolf"} <= set(split.val)
    assert {"apple", "mushroom", "orange", "pear", "sweet_pepper"} <= set(split.train)


@pytest.mark.parametrize(("one", "other"), list(combinations(SPLITS, 2)))
def test_a_class_in_two_splits_is_refused(one: str, other: str) -> None:
    parts = {"train": ["a"], "val": ["b"], "test": ["c"]}
    parts[one].append("owl")
    parts[other].append("owl")
    text = "\n".join(f"{name} = {names}" for name, names in parts.items())
    with pytest.raises(UserError, match=f"^mine.toml: class 'owl' is in both {one} and {other}$"):
        parse_split(text, "mine.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train = [", "mine.toml: not TOML"),
        ("train = ['a']\nval = ['b']", "'test' must be a list"),
        ("train = ['a']\nval = ['b']\ntest = 'c'", "'test' must be a list"),
        ("train = ['a']\nval = ['b']\ntest = [1]", "'test' must be a list"),
        ("train = ['a']\nval = ['b']\ntest = []", "the test split has no classes"),
        ("train = ['a', 'a']\nval = ['b']\ntest = ['c']", "class 'a' stands twice in train"),
        ("train = ['a']\nval = ['b']\ntest = ['c']\ntets = 1", "unknown key 'tets'"),
    ],
)
def test_a_file_that_is_no_split(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        parse_split(tmp_path / "mine.toml")


def test_a_split_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        parse_split(tmp_path / "mine.toml")
    (tmp_path / "latin.toml").write_bytes(b"train = ['\xe9']")
    with pytest.raises(UserError, match="latin.toml: not TOML"):
        parse_split(tmp_path / "latin.toml")


@given(st.lists(NAMES, min_size=3, unique=True), NAMES)
def test_a_split_survives_writing(names: list[str], source: str) -> None:
    split = split_by_fractions(names, (1, 1, 1))
    again = parse_split(format_split(split))
    assert again == split
    assert (
        tomllib.loads(format_split(ClassSplit(("a",), ("b",), ("c",), source)))["source"] == source
    )


def test_missing_and_surplus_classes_are_named() -> None:
    SPLIT.check_classes("dcba")
    with pytest.raises(UserError, match="^missing class 'b' "):
        SPLIT.check_classes("acd")
    with pytest.raises(UserError, match="^missing classes 'b', 'c' "):
        SPLIT.check_classes("ad")
    with pytest.raises(UserError, match="^class 'e' not in the split"):
        SPLIT.check_classes("abcde")


def test_class_sizes_are_checked() -> None:
    check_class_sizes(dict.fromkeys("abcd", 5), SPLIT, 5)
    with pytest.raises(UserError, match="^class 'c' has 4 images, not 5$"):
        check_class_sizes({"a": 5, "b": 5, "c": 4, "d": 5}, SPLIT, 5)


@given(st.integers(3, 200), st.tuples(*[st.floats(0.01, 100)] * 3), st.integers(0, 2**32))
def test_every_class_is_dealt_once(n: int, weights: tuple[float, float, float], seed: int) -> None:
    names = [f"class {i}" for i in range(n)]
    split = split_by_fractions(names, weights, seed)
    assert sorted((*split.train, *split.val, *split.test)) == sorted(names)
    for part, weight in zip(SPLITS, weights, strict=True):
        exact = n * weight / sum(weights)
        count = len(split.classes(part))
        assert count >= 1
        if min(weights) * n >= sum(weights):  # no class had to be moved to an empty split
            assert abs(count - exact) < 1 + 1e-6


def test_dealing_depends_on_the_names_and_the_seed_alone() -> None:
    names = [f"class {i}" for i in range(100)]
    split = split_by_fractions(names, (0.64, 0.16, 0.20))
    assert [len(split.classes(part)) for part in SPLITS] == [64, 16, 20]
    assert split.val[:3] == split_by_fractions(names[::-1], (64, 16, 20)).val[:3]
    assert split.val != split_by_fractions(names, (0.64, 0.16, 0.20), seed=1).val


@pytest.mark.parametrize(("n", "weights"), [(2, (1, 1, 1)), (9, (1, 0, 1)), (0, (1, 1, 1))])
def test_what_cannot_be_dealt(n: int, weights: tuple[float, float, float]) -> None:
    with pytest.raises(UserError, match="cannot split"):
        split_by_fractions([str(i) for i in range(n)], weights)


def test_fractions_are_told_from_paths() -> None:
    names = [str(i) for i in range(100)]
    assert choose_split("64/16/20", names) == split_by_fractions(names, (64, 16, 20))
    assert choose_split("0.64/0.16/0.2", names) == split_by_fractions(names, (0.64, 0.16, 0.2))
    for text in ("64/16", "a/b/c", "1/2/3/4", "-1/2/3", "1/2/3\n", "my/split.toml"):
        with pytest.raises(UserError, match="neither TRAIN/VAL/TEST"):
            choose_split(text, names)


def test_tiered_classes() -> None:
    split = load_split("tiered-imagenet")
    assert [len(split.classes(part)) for part in SPLITS] == [351, 97, 160]
    supers = tiered_super_categories()
    split.check_classes(supers)
    of_split = [{supers[name] for name in split.classes(part)} for part in SPLITS]
    assert [len(names) for names in of_split] == [20, 6, 8]
    assert not any(one & other for one, other in combinations(of_split, 2))
