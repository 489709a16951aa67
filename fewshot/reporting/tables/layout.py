"""The texts of a grid made of columns and lines, and how each text is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewshot.reporting.grid import Place, Style
from fewshot.reporting.published import Published
from fewshot.reporting.tables.columns import GAP, PUBLISHED
from fewshot.reporting.tables.costs import NO_VALUE, Value
from fewshot.reporting.tables.lines import Column, Line
from fewshot.results.timing import Machine, Timing, machines_in
from fewshot.units import HOLE, letter, percent, signed

MARK = "~"
"""The sign before a time that was disturbed."""
Numbers = Mapping[tuple[int, str], Published]
"""Published numbers, by the place of a row and its column."""


@dataclass(frozen=True)
class Layout:
    """The texts of a table.

    letters: those of the machines that times were taken on, if there are several. timings: those
    of all times in the table. has_parts: whether a mean leaves some trainings or tests out.
    """

    header: list[str]
    lines: list[list[str]]
    styles: dict[Place, Style]
    letters: dict[Machine, str]
    timings: list[Timing]
    has_parts: bool

    @property
    def has_best(self) -> bool:
        """Return whether any score is marked as the best."""
        return "best" in self.styles.values()


def lay_out(
    columns: Sequence[Column], lines: Sequence[Line], best: Mapping[tuple[int, str], bool]
) -> Layout:
    """Return the texts of these columns. best: by the place of a row and its column."""
    timings = [v.timing for column in columns for v in column.values if v.timing is not None]
    machines = machines_in(timings) if len({timing.machine for timing in timings}) > 1 else []
    letters = {machine: letter(i).upper() for i, machine in enumerate(machines)}
    styles: dict[Place, Style] = {}
    for j, column in enumerate(columns):
        for i, (line, value) in enumerate(zip(lines, column.values, strict=True)):
            if value.text == HOLE:
                styles[i, j] = "hole"
            elif value.timing is not None and value.timing.disturbed:
                styles[i, j] = "mark"
            elif best.get((line.place, line.scores.get(column.header, ""))):
                styles[i, j] = "best"
    texts = [[_marked(column.values[i], letters) for column in columns] for i in range(len(lines))]
    header = [column.header for column in columns]
    has_parts = any(value.is_part for column in columns for value in column.values)
    return Layout(header, texts, styles, letters, timings, has_parts)


def with_published(
    columns: Sequence[Column], lines: Sequence[Line], numbers: Numbers
) -> list[Column]:
    """Return the columns with published numbers, and the gaps to them, beside their scores."""
    out = []
    for column in columns:
        out.append(column)
        beside = [numbers.get((x.place, x.scores.get(column.header, ""))) for x in lines]
        if any(number is not None for number in beside):
            pairs = [_beside(x, column, n) for x, n in zip(lines, beside, strict=True)]
            shown, gaps = zip(*pairs, strict=True)
            out += [Column(PUBLISHED, (PUBLISHED,), shown), Column(GAP, (GAP,), gaps)]
    return out


def _beside(line: Line, column: Column, number: Published | None) -> tuple[Value, Value]:
    if number is None:
        return NO_VALUE, NO_VALUE
    gap = line.row.scores[line.scores[column.header]].mean - number.accuracy
    shown = percent(number.accuracy, number.ci95, digits=1)
    return Value(*shown), Value(*signed(gap, digits=1))


def _marked(value: Value, letters: Mapping[Machine, str]) -> str:
    """Return the text of a value; a time is marked if disturbed and has its machine's letter."""
    if value.timing is None:
        return value.text
    mark = MARK if value.timing.disturbed else ""
    machine = f" {letters[value.timing.machine]}" if letters else ""
    return f"{mark}{value.text}{machine}"
