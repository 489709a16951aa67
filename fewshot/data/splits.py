"""The classes of a data set that are for training, for validation and for testing."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import numpy as np

from fewshot.episodes.sampling import SPLITS, Split
from fewshot.errors import UserError

SPLIT_FILE = "split.toml"  # in the store of a data set that brings its own split


@dataclass(frozen=True)
class ClassSplit:
    """Three disjoint sets of class names. source: who chose them.

    Raises UserError when a split is empty, or a class stands twice.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        for split in SPLITS:
            names = self.classes(split)
            if not names:
                raise UserError(f"{self.source}: the {split} split has no classes")
            name, count = Counter(names).most_common(1)[0]
            if count > 1:
                raise UserError(f"{self.source}: class '{name}' stands twice in {split}")
        for one, other in combinations(SPLITS, 2):
            if common := set(self.classes(one)) & set(self.classes(other)):
                name = min(common)
                raise UserError(f"{self.source}: class '{name}' is in both {one} and {other}")

    def classes(self, split: Split) -> tuple[str, ...]:
        """Return the class names of one split."""
        names: tuple[str, ...] = getattr(self, split)
        return names

    def check_classes(self, class_names: Iterable[str]) -> None:
        """Raise UserError when the data's classes are not exactly those of the three splits."""
        expected = {*self.train, *self.val, *self.test}
        found = set(class_names)
        if missing := expected - found:
            raise UserError(f"missing {_some('class', missing)} (split: {self.source})")
        if surplus := found - expected:
            raise UserError(f"{_some('class', surplus)} not in the split ({self.source})")


def check_class_sizes(class_sizes: Mapping[str, int], split: ClassSplit, per_class: int) -> None:
    """Raise UserError unless the data have the split's classes, with `per_class` images each."""
    split.check_classes(class_sizes)
    for name, size in class_sizes.items():
        if size != per_class:
            raise UserError(f"class '{name}' has {size} images, not {per_class}")


def load_split(name: str) -> ClassSplit:
    """Return the class split that comes with the suite for the data set `name`."""
    file = files("fewshot.data") / "splits" / f"{name}.toml"
    return parse_split(file.read_text(), file.name)


def tiered_super_categories() -> dict[str, str]:
    """Return the super-category (a WordNet id, one of 34) of each of tieredImageNet's 608 classes.

    No two of its splits have one in common.
    """
    file = files("fewshot.data") / "splits" / "tiered-imagenet-supers.toml"
    supers: dict[str, list[str]] = tomllib.loads(file.read_text())["supers"]
    return {name: super_name for super_name, names in supers.items() for name in names}


def parse_split(text_or_path: str | Path, label: str = "split") -> ClassSplit:
    """Return the class split of a TOML text or file: `train = [...]`, `val`, `test`, `source`.

    Raises UserError naming the file (or `label`) when it is not such a split.
    """
    if isinstance(text_or_path, Path):
        label = text_or_path.name
    try:
        text = text_or_path.read_text() if isinstance(text_or_path, Path) else text_or_path
        table = tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{text_or_path}: cannot read the split ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{label}: not TOML ({error})") from error
    if unknown := sorted(table.keys() - {*SPLITS, "source"}):
        raise UserError(f"{label}: unknown key '{unknown[0]}'; known: source, {', '.join(SPLITS)}")
    for split in SPLITS:
        names = table.get(split)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{label}: '{split}' must be a list of class names")
    train, val, test = (tuple(sorted(table[split])) for split in SPLITS)
    return ClassSplit(train, val, test, source=str(table.get("source", label)))


def format_split(split: ClassSplit) -> str:
    """Return the TOML text that `parse_split` reads back as the same split."""
    lines = [f"source = {_quote(split.source)}"]
    for name in SPLITS:
        lines += [f"{name} = [", *(f"    {_quote(c)}," for c in split.classes(name)), "]"]
    return "\n".join(lines) + "\n"


def split_by_fractions(
    class_names: Collection[str], fractions: tuple[float, float, float], seed: int = 0
) -> ClassSplit:
    """Deal classes at random into train, val and test, at least one to each.

    fractions: of the classes, as relative weights, all above 0; (64, 16, 20) will do.
    Raises UserError for other weights, or fewer than three classes.
    """
    source = f"{'/'.join(f'{f:g}' for f in fractions)} of {len(class_names)} classes, seed {seed}"
    if len(class_names) < 3 or min(fractions) <= 0:
        raise UserError(f"cannot split {source}: needs 3 classes and weights above 0")
    bits = np.random.PCG64(seed)  # raw bits, so that no release of numpy moves a class
    order = np.argsort(bits.random_raw(len(class_names)), kind="stable")
    shuffled = np.array(sorted(class_names), dtype=object)[order]
    n_train, n_val, _ = _shares(len(class_names), fractions)
    parts = np.split(shuffled, [n_train, n_train + n_val])
    train, val, test = (tuple(sorted(part)) for part in parts)
    return ClassSplit(train, val, test, source=source)


def choose_split(option: str, class_names: Collection[str]) -> ClassSplit:
    """Return the split a user asks for: weights or class counts TRAIN/VAL/TEST, or a TOML file.

    Raises UserError when it is neither, or does not have exactly the classes of the data.
    """
    number = r"(\d+(?:\.\d+)?)"
    if match := re.fullmatch(f"{number}/{number}/{number}", option):
        train, val, test = map(float, match.groups())
        return split_by_fractions(class_names, (train, val, test))
    if not Path(option).is_file():
        raise UserError(f"--split {option}: neither TRAIN/VAL/TEST (like 64/16/20) nor a TOML file")
    split = parse_split(Path(option))
    split.check_classes(class_names)
    return split


def _shares(n: int, weights: tuple[float, float, float]) -> list[int]:
    """Share n out by weights in whole numbers, each at least 1 (largest remainders first)."""
    exact = [round(n * weight / sum(weights), 9) for weight in weights]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(3), key=lambda i: shares[i] - exact[i])
    for i in by_remainder[: n - sum(shares)]:
        shares[i] += 1
    while min(shares) < 1:
        shares[shares.index(max(shares))] -= 1
        shares[shares.index(min(shares))] += 1
    return shares


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _some(noun: str, names: Collection[str], at_most: int = 5) -> str:
    shown = ", ".join(f"'{name}'" for name in sorted(names)[:at_most])
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{noun if len(names) == 1 else 'classes'} {shown}{more}"
