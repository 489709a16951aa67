"""Validation curves, and when they reach a target. Needs neither torch nor matplotlib.

Axes: V validations of a training, G points of a grid. Accuracies are fractions.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, NamedTuple

import numpy as np

from fewshot.reporting.plots.points import Point
from fewshot.results.curves import Validations, first_hit, validations_of
from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.timing import training_time

Spent = Literal["seconds", "images"]
"""The x axis of a curve: seconds of training, or images seen in it."""


@dataclass(frozen=True)
class Curve(Validations):
    """The validations of one training, with the name of the row it stands for.

    budget_s: seconds of the whole training.
    """

    name: str
    dataset: str
    seed: int
    budget_s: float
    machine: str


class Band(NamedTuple):
    """Mean, lowest and highest accuracy of several seeds, at each x."""

    x_G: np.ndarray
    mean_G: np.ndarray
    low_G: np.ndarray
    high_G: np.ndarray


@dataclass(frozen=True)
class Reach:
    """When the trainings of a name, one a seed, first met a target; inf for those that did not."""

    name: str
    seconds: tuple[float, ...]
    budget_s: tuple[float, ...]
    machine: str

    @property
    def median_s(self) -> float:
        """The median over seeds. A miss counts as inf: so it is inf where half of them missed."""
        return median(self.seconds)

    @property
    def hits(self) -> int:
        """The number of seeds that met it."""
        return sum(math.isfinite(s) for s in self.seconds)


def curves_of(points: Sequence[Point]) -> list[Curve]:
    """Return the curve of each training that was validated, in the order of `points`.

    Cells of several rows may share a training: it is named by the shortest of their names.
    Raises UserError where a curve.csv is not what its name says.
    """
    named = [(point.name, cell) for point in points for cell in point.score.cells]
    shared = grouped(named, lambda found: found[1].run.training and found[1].run.training.id)
    found = []
    for training, users in shared.items():
        name = min((name for name, _ in users), key=lambda n: (len(n), n))
        cells = [cell for _, cell in users]
        if training and (curve := _read(cells[0], name)) is not None:
            found.append((curve, cells))
    return _told_apart(found)


def by_name(curves: Iterable[Curve]) -> dict[str, list[Curve]]:
    """Return the seeds of each name."""
    return grouped(curves, lambda curve: curve.name)


def band(seeds: Sequence[Curve], over: Spent) -> Band:
    """Return seeds together over the x that all of them have: linear between validations.

    One seed keeps its own validations, and the band has no width.
    """
    xs = [curve.seconds_V if over == "seconds" else curve.images_V for curve in seeds]
    first, last = max(x[0] for x in xs), min(x[-1] for x in xs)
    x_G = np.unique(np.clip(np.concatenate(xs), first, max(first, last)))
    pairs = zip(xs, seeds, strict=True)
    each = np.stack([np.interp(x_G, x, curve.accuracy_V) for x, curve in pairs])
    return Band(x_G, each.mean(0), each.min(0), each.max(0))


def default_target(curves: Sequence[Curve]) -> float:
    """Return the level of the weakest: the smallest, over names, of the best validation accuracy.

    Several seeds have the median of their best ones.
    """
    return min(
        median(float(curve.accuracy_V.max()) for curve in seeds)
        for seeds in by_name(curves).values()
    )


def reach(curves: Sequence[Curve], target: float) -> list[Reach]:
    """Return when each name first met the target, soonest first; then misses, nearest first."""
    named = by_name(curves)
    best = {name: max(c.accuracy_V.max() for c in seeds) for name, seeds in named.items()}
    found = [
        Reach(
            name,
            tuple(first_hit(curve.seconds_V, curve.accuracy_V, target) for curve in seeds),
            tuple(curve.budget_s for curve in seeds),
            seeds[0].machine,
        )
        for name, seeds in named.items()
    ]
    return sorted(found, key=lambda r: (r.median_s, -best[r.name], r.name))


def _read(cell: CellResult, name: str) -> Curve | None:
    """Return the curve of a cell's training; None for one that was never validated."""
    found, time = validations_of(cell), training_time(cell.run)
    if found is None or time is None:
        return None
    training = cell.run.config.training
    return Curve(
        **vars(found),
        name=name,
        dataset=training.dataset,
        seed=training.seed,
        budget_s=time.seconds,
        machine=time.machine.place,
    )


def _told_apart(found: Sequence[tuple[Curve, Sequence[CellResult]]]) -> list[Curve]:
    """Return the curves; those of one name that differ in more than their seed get their shapes."""
    like = grouped(found, lambda one: (one[0].name, one[0].dataset, one[0].shape))
    setups = {key: {cells[0].run.training_setup for _, cells in same} for key, same in like.items()}
    curves = []
    for curve, cells in found:
        if len(setups[curve.name, curve.dataset, curve.shape]) > 1:
            shapes = sorted({cell.run.config.scoring.shape for cell in cells})
            shown = ", ".join("{}w{}s".format(*shape) for shape in shapes)
            curve = replace(curve, name=f"{curve.name} for {shown}")
        curves.append(curve)
    return curves
