"""Validation curves, and when they reach a target. Needs neither torch nor matplotlib.

Axes: V validations of a training, G points of a grid. Accuracies are fractions.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal, NamedTuple

import numpy as np

from fewshot.reporting.plots.points import Point, machine_of
from fewshot.results.curves import first_hit, validations_of
from fewshot.results.files import CellResult

Spent = Literal["seconds", "images"]
"""What a curve runs over: seconds of training, or images seen in it."""


@dataclass(frozen=True)
class Curve:
    """What one training met at each of its validations.

    name: of the row it stands for. shape: ways and shots of the validation episodes. budget_s:
    seconds of the whole training.
    """

    name: str
    dataset: str
    shape: tuple[int, int]
    seed: int
    seconds_V: np.ndarray
    images_V: np.ndarray
    accuracy_V: np.ndarray
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
        """Over seeds, a miss counting as inf: so inf where half of them missed."""
        return median(self.seconds)

    @property
    def hits(self) -> int:
        """How many seeds met it."""
        return sum(math.isfinite(s) for s in self.seconds)


def curves_of(cells: Sequence[CellResult], points: Sequence[Point]) -> list[Curve]:
    """The curve of each training that was validated, in the order of `points`.

    Cells of several rows may share a training: it is named by the shortest of their names.
    Raises UserError where a curve.csv is not what its name says.
    """
    names = {cell_id: point.name for point in points for cell_id in point.cell_ids}
    by_id = {cell.run["cell"]: cell for cell in cells if cell.run["training"]}
    by_training: dict[str, list[CellResult]] = {}
    for cell in (by_id[cell_id] for cell_id in names if cell_id in by_id):
        by_training.setdefault(cell.run["training"]["id"], []).append(cell)
    found = []
    for shared in by_training.values():
        name = min((names[c.run["cell"]] for c in shared), key=lambda n: (len(n), n))
        if (curve := _read(shared[0], name)) is not None:
            found.append((curve, shared))
    return _told_apart(found)


def by_name(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """The seeds of each name."""
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.name, []).append(curve)
    return found


def band(seeds: Sequence[Curve], over: Spent) -> Band:
    """Seeds together, where all of them run: linear between validations.

    One seed keeps its own validations, and the band has no width.
    """
    xs = [curve.seconds_V if over == "seconds" else curve.images_V for curve in seeds]
    first, last = max(x[0] for x in xs), min(x[-1] for x in xs)
    grid = np.unique(np.clip(np.concatenate(xs), first, max(first, last)))
    each = np.stack(
        [np.interp(grid, x, curve.accuracy_V) for x, curve in zip(xs, seeds, strict=True)]
    )
    return Band(grid, each.mean(0), each.min(0), each.max(0))


def default_target(curves: Sequence[Curve]) -> float:
    """The level of the weakest: the smallest, over names, of the best validation accuracy.

    Of several seeds, the median of their best ones.
    """
    return min(
        median(float(curve.accuracy_V.max()) for curve in seeds)
        for seeds in by_name(curves).values()
    )


def reach(curves: Sequence[Curve], target: float) -> list[Reach]:
    """When each name first met the target, soonest first; then the misses, nearest first."""
    best = {n: max(c.accuracy_V.max() for c in seeds) for n, seeds in by_name(curves).items()}
    found = [
        Reach(
            name,
            tuple(first_hit(curve.seconds_V, curve.accuracy_V, target) for curve in seeds),
            tuple(curve.budget_s for curve in seeds),
            seeds[0].machine,
        )
        for name, seeds in by_name(curves).items()
    ]
    return sorted(found, key=lambda r: (r.median_s, -best[r.name], r.name))


def _read(cell: CellResult, name: str) -> Curve | None:
    """None for a training that was never validated."""
    found = validations_of(cell)
    if found is None:
        return None
    training = cell.run["config"]["training"]
    return Curve(
        name=name,
        dataset=training["dataset"],
        shape=found.shape,
        seed=training["seed"],
        seconds_V=found.seconds_V,
        images_V=found.images_V,
        accuracy_V=found.accuracy_V,
        budget_s=cell.run["training"]["spent"]["train_s"],
        machine=machine_of(cell.run),
    )


def _told_apart(found: Sequence[tuple[Curve, Sequence[CellResult]]]) -> list[Curve]:
    """Trainings of one name that differ in more than their seed are named with their shapes."""
    setups: dict[tuple[str, str, tuple[int, int]], set[str]] = {}
    for curve, cells in found:
        key = (curve.name, curve.dataset, curve.shape)
        setups.setdefault(key, set()).add(_setup(cells[0].run))
    return [
        _with_shapes(curve, cells)
        if len(setups[curve.name, curve.dataset, curve.shape]) > 1
        else curve
        for curve, cells in found
    ]


def _setup(run: Mapping[str, Any]) -> str:
    training = run["config"]["training"]
    return json.dumps({k: v for k, v in training.items() if k != "seed"}, sort_keys=True)


def _with_shapes(curve: Curve, cells: Sequence[CellResult]) -> Curve:
    scorings = [cell.run["config"]["scoring"] for cell in cells]
    shapes = sorted({(s["n_way"], s["n_shot"]) for s in scorings})
    shown = ", ".join(f"{way}w{shot}s" for way, shot in shapes)
    return replace(curve, name=f"{curve.name} for {shown}")
