"""Numbers that others published, as data; each with its source and how far to trust it."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

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


def published(row: TableRow, column: str) -> Published | None:
    """Return the first number to hold against a row's score in a column, or None."""
    numbers = (n for n in published_numbers() if n.column == column and may_stand_beside(n, row))
    return next(numbers, None)


def may_stand_beside(number: Published, row: TableRow) -> bool:
    """Return whether a number may be held against a row.

    It is of the same learner, backbone and column, and the row was trained on the column's own
    data set.
    """
    return (
        (number.learner, number.backbone) == (row.learner, row.backbone)
        and number.column in row.scores
        and not row.scores[number.column].is_cross_domain
    )


def _numbers(entry: dict[str, object]) -> Iterator[Published]:
    common = {key: str(entry[key]) for key in ("learner", "backbone", "source")}
    trust = entry["trust"]
    assert trust in get_args(Trust), trust
    accuracies: dict[str, dict[str, list[float]]] = entry["accuracy"]  # type: ignore[assignment]
    for dataset, shapes in accuracies.items():
        for shape, (percent, half_width) in shapes.items():
            yield Published(
                **common,
                column=f"{dataset} {shape}",
                accuracy=percent / 100,
                ci95=half_width / 100,
                trust=trust,  # type: ignore[arg-type]
                note=str(entry.get("note", "")),
            )
