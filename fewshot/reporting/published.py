"""Numbers that others published, as data; each with its source and how far to trust it."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from fewshot.results.rows import TableRow

Trust = Literal["source", "quoted", "memory"]
"""The trust in a number: read where it was published, quoted by others, or not checked."""


@dataclass(frozen=True)
class Published:
    """One number: accuracy and its ± as fractions; what the ± is over differs from paper to paper.

    column: data set and episode shape, as in tables. note: where its protocol is unlike ours.
    """

    learner: str
    backbone: str
    column: str
    accuracy: float
    ci95: float
    source: str
    trust: Trust
    note: str


@cache
def published_numbers() -> tuple[Published, ...]:
    """Return all numbers of `published.toml`, in its order."""
    text = (files("fewshot.reporting") / "published.toml").read_text()
    return tuple(number for entry in tomllib.loads(text)["number"] for number in _numbers(entry))


def _numbers(entry: dict[str, Any]) -> Iterator[Published]:
    common = {"note": "", **entry}
    assert common["trust"] in get_args(Trust), common["trust"]
    for dataset, shapes in common.pop("accuracy").items():
        for shape, (percent, half_width) in shapes.items():
            accuracy, ci95 = percent / 100, half_width / 100
            yield Published(column=f"{dataset} {shape}", accuracy=accuracy, ci95=ci95, **common)


def published(row: TableRow, column: str) -> Published | None:
    """Return the first number to hold against a row's score in a column, or None."""
    numbers = (n for n in published_numbers() if n.column == column and may_stand_beside(n, row))
    return next(numbers, None)


def may_stand_beside(number: Published, row: TableRow) -> bool:
    """Return whether a number may be held against a row: it is of its learner and backbone.

    The row also has a score in the number's column, and was trained on that column's data set.
    """
    return (
        (number.learner, number.backbone) == (row.learner, row.backbone)
        and number.column in row.scores
        and not row.scores[number.column].is_cross_domain
    )
