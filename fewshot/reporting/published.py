"""Numbers that others published, as data; each with its source and how far to trust it."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

Trust = Literal["source", "quoted", "memory"]
"""Read where it was published, in another paper or list, or not checked at all."""


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
    """All of `published.toml`, in its order."""
    text = (files("fewshot.reporting") / "published.toml").read_text()
    return tuple(number for entry in tomllib.loads(text)["number"] for number in _numbers(entry))


def published(learner: str, backbone: str, column: str) -> Published | None:
    """The number to hold against a learner, or None."""
    key = (learner, backbone, column)
    return next(
        (n for n in published_numbers() if (n.learner, n.backbone, n.column) == key),
        None,
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
