"""Rows of cells to the lines of a table: in one data set or all, grouped, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fewshot.errors import UserError
from fewshot.reporting.tables.costs import Costs, Value
from fewshot.results.files import CellResult
from fewshot.results.rows import (
    TableRow,
    best_first,
    column_names,
    dataset_in,
    dataset_of,
    protocol_letters,
)
from fewshot.results.timing import machines_in
from fewshot.units import HOLE


@dataclass(frozen=True)
class Line:
    """A row, or what it has on one data set.

    place: of the row. protocol: its letter. scores: by their heading, the column of the row.
    costs: by what follows the name of a cost in its heading, which is a data set if there are
    several.
    """

    row: TableRow
    place: int
    protocol: str
    scores: Mapping[str, str]
    costs: Mapping[str, Costs]


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it, a value a line.

    names: what it may be called in `--sort`, besides its heading. larger_first: when sorted by.
    """

    header: str
    names: tuple[str, ...]
    values: tuple[Value, ...]
    larger_first: bool = False


class Group(NamedTuple):
    """Lines of a table and the heading above them, "" for none."""

    heading: str
    lines: list[Line]


def lines_of(cells: Sequence[CellResult], rows: Sequence[TableRow], by_dataset: bool) -> list[Line]:
    """A line for each row; with `by_dataset`, one for each data set that it has."""
    by_id = {cell.run["cell"]: cell for cell in cells}
    letters = protocol_letters(rows)
    several = len({dataset_in(column) for column in column_names(rows)}) > 1
    lines = []
    for place, row in enumerate(rows):
        of_row = [by_id[cell_id] for cell_id in row.cell_ids]
        parts: dict[str, list[str]] = {}
        for column in column_names([row]):
            parts.setdefault(dataset_in(column), []).append(column)
        costs = {name: _costs(of_row, name) for name in parts}
        if by_dataset:
            lines += [
                Line(row, place, letters[place], _by_shape(columns), {"": costs[name]})
                for name, columns in parts.items()
            ]
            continue
        scores = {column: column for column in column_names([row])}
        named = {f" {name}" if several else "": found for name, found in costs.items()}
        lines.append(Line(row, place, letters[place], scores, named))
    return lines


def grouped(lines: Sequence[Line], group: str | None, sort_by: Column | None) -> list[Group]:
    """The lines in their order, under headings where they are grouped.

    sort_by: a column of these lines; without one, the best last score stands first. Groups stand
    in the order of their headings.
    Raises UserError for a column of times that were taken on several machines in one group.
    """
    places: dict[str, list[int]] = {}
    for i, line in enumerate(lines):
        places.setdefault(_heading(line, group), []).append(i)
    found = []
    for heading in sorted(places):
        if sort_by is None:
            order = _best_first([lines[i] for i in places[heading]])
        else:
            order = [lines[i] for i in _sorted(places[heading], sort_by)]
        found.append(Group(heading, order))
    return found


def _best_first(lines: Sequence[Line]) -> list[Line]:
    shown = {column for line in lines for column in line.scores.values()}
    columns = [c for c in column_names([line.row for line in lines]) if c in shown]
    return sorted(lines, key=lambda line: best_first(line.row, columns))


def _sorted(places: Sequence[int], column: Column) -> list[int]:
    _refuse_unlike_times(column.header, [column.values[i] for i in places])
    return sorted(places, key=lambda i: _place(column.values[i], column.larger_first))


def _place(value: Value, larger_first: bool) -> tuple[bool, bool, float, str]:
    """Disturbed times stand below the others, and holes last."""
    if value.key is None:
        return True, False, 0.0, ""
    disturbed = value.timing is not None and value.timing.disturbed
    if isinstance(value.key, str):
        return False, disturbed, 0.0, value.key
    return False, disturbed, -value.key if larger_first else value.key, ""


def _refuse_unlike_times(header: str, values: Sequence[Value]) -> None:
    """Raises UserError for times that were taken on several machines."""
    machines = machines_in([value.timing for value in values if value.timing is not None])
    if len(machines) > 1:
        known = "; ".join(f"{m.fingerprint} is {m.words}" for m in machines)
        raise UserError(
            f"cannot sort by '{header}': times of {len(machines)} machines are not "
            f"compared; --where machine={machines[0].fingerprint} keeps one ({known})"
        )


def _heading(line: Line, group: str | None) -> str:
    if group is None:
        return ""
    if group == "dataset":
        return dataset_in(next(iter(line.scores.values())))
    return {
        "backbone": "no backbone" if line.row.backbone == HOLE else line.row.backbone,
        "learner": line.row.learner,
        "protocol": f"protocol {line.protocol}",
    }[group]


def _by_shape(columns: Sequence[str]) -> dict[str, str]:
    return {column.split()[1]: column for column in columns}


def _costs(cells: Sequence[CellResult], dataset: str) -> Costs:
    return Costs(tuple(cell for cell in cells if dataset_of(cell) == dataset))
