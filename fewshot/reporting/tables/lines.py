"""The lines of a table, made of its rows: on one data set or all, grouped, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewshot.errors import UserError
from fewshot.reporting.tables.costs import Value
from fewshot.results.grouping import grouped
from fewshot.results.rows import TableRow, best_first, column_names, dataset_in, protocol_letters
from fewshot.results.timing import Costs, machines_in
from fewshot.units import HOLE


@dataclass(frozen=True)
class Line:
    """A table row, or the part of it on one data set.

    place: the row's number. protocol: its letter. scores: heading to column of the row. costs:
    by the end of a cost's heading, which names the data set if there are several, else "".
    """

    row: TableRow
    place: int
    protocol: str
    scores: Mapping[str, str]
    costs: Mapping[str, Costs]


@dataclass(frozen=True)
class Column:
    """A heading and the values below it, one a line.

    names: its other names for `--sort`. larger_first: the order when lines are sorted by it.
    """

    header: str
    names: tuple[str, ...]
    values: tuple[Value, ...]
    larger_first: bool = False


def lines_of(rows: Sequence[TableRow], by_dataset: bool) -> list[Line]:
    """Return a line for each row; with `by_dataset`, one for each data set that it has."""
    letters = protocol_letters(rows)
    several = len({dataset_in(column) for column in column_names(rows)}) > 1
    lines = []
    for place, row in enumerate(rows):
        columns = grouped(column_names([row]), dataset_in)
        cells = grouped(row.cells, lambda cell: cell.run.config.scored_on)
        costs = {name: Costs(tuple(cells[name])) for name in columns}
        if by_dataset:
            for name, own in columns.items():
                scores = {column.split()[1]: column for column in own}
                lines.append(Line(row, place, letters[place], scores, {"": costs[name]}))
            continue
        scores = {column: column for column in column_names([row])}
        named = {f" {name}" if several else "": found for name, found in costs.items()}
        lines.append(Line(row, place, letters[place], scores, named))
    return lines


def in_groups(
    lines: Sequence[Line], group: str | None, sort_by: Column | None
) -> dict[str, list[Line]]:
    """Return the lines in their order by the heading above them, "" where they are not grouped.

    sort_by: a column of these lines; without one, the best last score stands first. Groups stand
    in the order of their headings.
    Raises UserError for a column of times that were taken on several machines in one group.
    """
    places = grouped(range(len(lines)), lambda i: _heading(lines[i], group))
    return {
        heading: [lines[i] for i in _sorted(places[heading], lines, sort_by)]
        for heading in sorted(places)
    }


def _sorted(places: Sequence[int], lines: Sequence[Line], column: Column | None) -> list[int]:
    if column is not None:
        values = {i: column.values[i] for i in places}
        _refuse_unlike_times(column.header, list(values.values()))
        return sorted(places, key=lambda i: _place(values[i], column.larger_first))
    shown = {name for i in places for name in lines[i].scores.values()}
    columns = [c for c in column_names([lines[i].row for i in places]) if c in shown]
    return sorted(places, key=lambda i: best_first(lines[i].row, columns))


def _place(value: Value, larger_first: bool) -> tuple[bool, bool, float, str]:
    """Return a key to sort by: disturbed times stand below the others, and holes last."""
    if value.key is None:
        return True, False, 0.0, ""
    disturbed = value.timing is not None and value.timing.disturbed
    if isinstance(value.key, str):
        return False, disturbed, 0.0, value.key
    return False, disturbed, -value.key if larger_first else value.key, ""


def _refuse_unlike_times(header: str, values: Sequence[Value]) -> None:
    """Raise UserError for times that were taken on several machines."""
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
