"""What the figures show of test accuracy and cost: a point for each score of a table.

Needs neither torch nor matplotlib. Axes: E episodes. Accuracies are fractions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewshot.results.comparison import row_name
from fewshot.results.files import CellResult
from fewshot.results.protocol import PROTOCOL, protocol_words
from fewshot.results.rows import Score, TableRow, column_names, column_of, commits
from fewshot.results.timing import alike, trained_on, training_time
from fewshot.statistics.intervals import Interval


@dataclass(frozen=True)
class Point:
    """The score of a row in one column, and what it cost.

    place: of the row among its table's rows. cell_ids: those of this column. train_s: seconds of
    the trainings (one a seed) behind this score whose times may be averaged, as in tables; empty
    where none was. machine: where those ran; None without a training. queries: images to predict
    in an episode.
    """

    row: TableRow
    place: int
    column: str
    cell_ids: tuple[str, ...]
    train_s: tuple[float, ...]
    machine: str | None
    queries: int

    @property
    def name(self) -> str:
        """The row's, as a comparison shows it."""
        return row_name(self.row)

    @property
    def score(self) -> Score:
        """Accuracies and protocol."""
        return self.row.scores[self.column]

    @property
    def interval(self) -> Interval:
        """Mean accuracy and 95 % interval over episodes."""
        return self.score.interval()

    @property
    def seconds(self) -> float:
        """Mean over its trainings, as in tables. Raises ZeroDivisionError where there is none."""
        return sum(self.train_s) / len(self.train_s)


def points_of(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> list[Point]:
    """A point for each score of `rows`, which are the table's rows of `cells`, in their order."""
    by_place: dict[tuple[str, str], list[CellResult]] = {}
    by_id = {cell.run["cell"]: cell for cell in cells}
    columns = {cell_id: column_of(cell) for cell_id, cell in by_id.items()}
    for row in rows:
        for cell_id in row.cell_ids:
            by_place.setdefault((row.cell_ids[0], columns[cell_id]), []).append(by_id[cell_id])
    return [
        _point(row, i, column, by_place[row.cell_ids[0], column])
        for i, row in enumerate(rows)
        for column in column_names([row])
    ]


def machine_of(run: Mapping[str, Any]) -> str:
    """Where a cell was trained, whatever the software: times from two machines are not compared."""
    return trained_on(run).place


def main_machine(machines: Sequence[str | None]) -> str | None:
    """The one that most were timed on; the first in the alphabet of several such."""
    counted = Counter(machine for machine in machines if machine is not None)
    return min(counted, key=lambda m: (-counted[m], m)) if counted else None


def may_lead(point: Point, machine: str | None) -> bool:
    """Whether a point may stand on the Pareto front of `machine`'s times.

    Not one that was timed elsewhere, sees other queries, or starts from other images than the
    data set's, whose cost its time would not hold.
    """
    own_images = point.score.protocol["pretraining"] is None and not point.score.is_cross_domain
    return point.machine == machine and own_images and not point.score.protocol["transductive"]


def pareto_front(seconds: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Places of those that no other one is as good as in both and better in one, fastest first.

    >>> pareto_front([10, 20, 30], [0.5, 0.4, 0.6])
    [0, 2]
    """
    front: list[int] = []
    for i in sorted(range(len(seconds)), key=lambda i: (seconds[i], -accuracies[i])):
        last = front[-1] if front else None
        if (
            last is None
            or accuracies[i] > accuracies[last]
            or (accuracies[i], seconds[i]) == (accuracies[last], seconds[last])
        ):
            front.append(i)
    return front


def protocol_groups(points: Sequence[Point]) -> tuple[list[int], list[str], list[str]]:
    """For each point the number of its protocol; in words, what tells each protocol from the
    others; and the keys of `PROTOCOL` that do.
    """
    protocols = [[point.score.protocol[key] for key in PROTOCOL] for point in points]
    keys = [
        key
        for k, key in enumerate(PROTOCOL)
        if any(protocol[k] != protocols[0][k] for protocol in protocols)
    ]
    words = [protocol_words(point.score.protocol, keys) for point in points]
    distinct = list(dict.fromkeys(words))
    return [distinct.index(w) for w in words], distinct, keys


def provenance(cells: Sequence[CellResult]) -> str:
    """On what machines, with what torch and at which commits; and whether others used them too."""
    torches: dict[str, set[str]] = {}
    for machine in (trained_on(cell.run) for cell in cells):
        torches.setdefault(machine.place, set()).add(machine.torch)
    hosts = [f"{host} (torch {', '.join(sorted(torches[host]))})" for host in sorted(torches)]
    times = [time for cell in cells if (time := training_time(cell.run)) is not None]
    most = max((time.others or 0.0 for time in times if time.disturbed), default=None)
    disturbed = f" Others used up to {100 * most:.0f} % of the machine meanwhile." if most else ""
    return f"On {'; '.join(hosts)}; commit {commits(cells)}.{disturbed}"


def _point(row: TableRow, place: int, column: str, cells: Sequence[CellResult]) -> Point:
    trainings = {c.run["training"]["id"]: c.run for c in cells if c.run["training"]}
    times = [time for run in trainings.values() if (time := training_time(run)) is not None]
    averaged = [times[i] for i in alike(times)]
    scoring = cells[0].run["config"]["scoring"]
    return Point(
        row,
        place,
        column,
        cell_ids=tuple(cell.run["cell"] for cell in cells),
        train_s=tuple(time.seconds for time in averaged),
        machine=averaged[0].machine.place if averaged else None,
        queries=scoring["n_way"] * scoring["n_query"],
    )
