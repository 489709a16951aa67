"""Points of test accuracy and cost, one for each score of a table.

Needs neither torch nor matplotlib. Axes: E episodes. Accuracies are fractions.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.protocol import differing_keys, protocol_words
from fewshot.results.rows import Score, TableRow, column_names, commits
from fewshot.results.timing import Costs, trained_on
from fewshot.statistics.intervals import Interval

DAGGER = " †"
"""The mark of a name whose times were taken on another machine than most."""


@dataclass(frozen=True)
class Point:
    """The score of a row in one column, and what it cost. place: the row's in its table."""

    row: TableRow
    place: int
    column: str

    @property
    def name(self) -> str:
        """The name of the row, as a comparison shows it."""
        return self.row.full_name

    @property
    def score(self) -> Score:
        """Accuracies and protocol."""
        return self.row.scores[self.column]

    @property
    def interval(self) -> Interval:
        """Mean accuracy and 95 % interval over episodes."""
        return self.score.interval()

    @property
    def percent(self) -> tuple[float, float]:
        """Mean and half-width of the interval in per cent; 0 where it has too few episodes."""
        mean, ci95 = self.interval
        return 100 * mean, 0.0 if math.isnan(ci95) else 100 * ci95

    @cached_property
    def train_s(self) -> tuple[float, ...]:
        """Seconds of the trainings (one a seed) whose times may be averaged; empty without one."""
        return tuple(time.seconds for time in self.score.costs.averaged)

    @cached_property
    def machine(self) -> str | None:
        """The machine where those trainings ran; None without one."""
        return next((time.machine.place for time in self.score.costs.averaged), None)

    @property
    def seconds(self) -> float:
        """Mean over its trainings, as in tables. Raises ZeroDivisionError where there is none."""
        return sum(self.train_s) / len(self.train_s)

    @property
    def queries(self) -> int:
        """The number of images to predict in an episode."""
        scoring = self.score.cells[0].run.config.scoring
        return scoring.n_way * scoring.n_query


def points_of(rows: Sequence[TableRow]) -> list[Point]:
    """Return a point for each score of the rows of a table, in their order."""
    return [
        Point(row, place, column)
        for place, row in enumerate(rows)
        for column in column_names([row])
    ]


def main_machine(machines: Sequence[str | None]) -> str | None:
    """Return the machine that most were timed on; the first in the alphabet of several such."""
    counted = Counter(machine for machine in machines if machine is not None)
    return min(counted, key=lambda m: (-counted[m], m)) if counted else None


def may_lead(point: Point, machine: str | None) -> bool:
    """Return whether a point may stand on the Pareto front of `machine`'s times.

    A point may not if it was timed elsewhere, sees other queries, or starts from other images than
    the data set's, whose cost its time would not hold.
    """
    protocol = point.score.protocol
    own_images = protocol.pretraining is None and not point.score.is_cross_domain
    return point.machine == machine and own_images and not protocol.transductive


def pareto_front(seconds: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the places of points that no other matches in both and beats in one, fastest first.

    >>> pareto_front([10, 20, 30], [0.5, 0.4, 0.6])
    [0, 2]
    """
    pairs = list(zip(seconds, accuracies, strict=True))
    front = [
        i
        for i, (time, accuracy) in enumerate(pairs)
        if not any(t <= time and a >= accuracy and (t, a) != (time, accuracy) for t, a in pairs)
    ]
    return sorted(front, key=lambda i: seconds[i])


def protocol_words_of(points: Sequence[Point]) -> tuple[list[str], list[str]]:
    """Return the protocol of each point in words, and the keys of `PROTOCOL` that they are of.

    These are the keys in which the protocols differ.
    """
    keys = differing_keys([point.score.protocol for point in points])
    return [protocol_words(point.score.protocol, keys) for point in points], keys


def either(numbers: Iterable[int]) -> str:
    """Return each of these numbers once, as "600 or 1,000"."""
    return " or ".join(f"{number:,}" for number in sorted(set(numbers)))


def elsewhere(machines: Iterable[str | None], machine: str | None, note: str = "") -> str:
    """Return the sentence on times of other machines than this one; "" without any."""
    others = sorted({str(other) for other in machines} - {str(machine)})
    return f"{DAGGER}: timed on {'; '.join(others)}{note}." if others else ""


def provenance(cells: Sequence[CellResult]) -> str:
    """Return the sentences on the machines, torch and commits of cells, and on disturbed times."""
    machines = grouped({trained_on(cell.run) for cell in cells}, lambda machine: machine.place)
    hosts = [
        f"{place} (torch {', '.join(sorted({machine.torch for machine in machines[place]}))})"
        for place in sorted(machines)
    ]
    times = Costs(tuple(cells)).training_times
    most = max((time.others or 0.0 for time in times if time.disturbed), default=None)
    disturbed = f" Others used up to {100 * most:.0f} % of the machine meanwhile." if most else ""
    return f"On {'; '.join(hosts)}; commit {commits(cells)}.{disturbed}"
