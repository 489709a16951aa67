"""A table of results, made of cells; needs neither torch nor images. A missing cell is a hole."""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

from fewshot.errors import UserError
from fewshot.reporting.grid import Grid
from fewshot.reporting.published import published
from fewshot.reporting.tables import notes
from fewshot.reporting.tables.columns import (
    COLUMNS,
    NAMES,
    TARGET,
    chosen_columns,
    column_to_sort_by,
    columns_of,
)
from fewshot.reporting.tables.layout import Numbers, lay_out, with_published
from fewshot.reporting.tables.lines import Line, in_groups, lines_of
from fewshot.reporting.tables.notes import NOTES
from fewshot.reporting.tables.records import records, to_csv
from fewshot.reporting.tables.view import GROUPS, View, kept_cells
from fewshot.results.comparison import unbeaten
from fewshot.results.files import CellResult
from fewshot.results.rows import Over, TableRow, table_rows

__all__ = ["COLUMNS", "GROUPS", "NOTES", "Format", "View", "render"]

Format = Literal["text", "md", "latex", "csv", "json"]
EVERYTHING = View()


def render(
    cells: Sequence[CellResult],
    form: Format,
    width: int | None = None,
    over: Over = "episodes",
    show_published: bool = False,
    view: View = EVERYTHING,
    colour: bool = False,
) -> str:
    """Return the table of these cells in one of the formats, with a final newline.

    over: the repetition that intervals are over. show_published: whether published numbers, and
    the gaps to them, stand beside the scores. view: the cells and columns, and their order.
    colour: whether text has the codes of a terminal.
    Raises UserError for cells that cannot stand in one table, and for a view that has no answer.
    """
    kept = kept_cells(cells, view.where)
    rows = table_rows(kept)
    lines = lines_of(rows, by_dataset=view.group == "dataset")
    sort_by = column_to_sort_by(view.sort, lines, over, view.target) if view.sort else None
    groups = in_groups(lines, view.group, sort_by)
    ordered = [line for group in groups.values() for line in group]
    if form in ("csv", "json"):
        return _as_records([line.row for line in ordered], form, view)
    chosen = chosen_columns(view, ordered)
    columns = [c for name in chosen for c in columns_of(name, ordered, over, view.target)]
    numbers = _published(rows) if show_published else {}
    layout = lay_out(with_published(columns, ordered, numbers), ordered, unbeaten(rows))
    footer = " ".join(
        [
            *notes.accuracy_notes(over, layout.has_best),
            notes.protocol_note(ordered),
            *notes.published_notes(rows, numbers),
            notes.scoring_note(kept),
            *([notes.TARGET_NOTE] if TARGET in chosen else []),
            *notes.timing_notes(layout),
            notes.commit_note(kept),
        ]
    )
    names = sum(name in NAMES for name in chosen)
    grid = Grid(layout.header, layout.lines, footer, layout.styles, _headings(groups))
    if form == "latex":
        return grid.latex(names)
    return grid.markdown() if form == "md" else grid.text(width, colour)


def _headings(groups: Mapping[str, Sequence[Line]]) -> dict[int, str]:
    """Return each heading by the number of the first line below it."""
    firsts = accumulate(map(len, groups.values()), initial=0)
    return {first: heading for first, heading in zip(firsts, groups, strict=False) if heading}


def _as_records(rows: Sequence[TableRow], form: Format, view: View) -> str:
    if view.columns is not None or view.group is not None:
        raise UserError(
            f"{form} holds every field, ungrouped: --columns and --group are for text, md and latex"
        )
    found = records(rows, unbeaten(rows), _published(rows), view.target)
    return to_csv(found) if form == "csv" else json.dumps(found, indent=2) + "\n"


def _published(rows: Sequence[TableRow]) -> Numbers:
    """Return the published number beside each score that has one."""
    return {
        (i, column): number
        for i, row in enumerate(rows)
        for column in row.scores
        if (number := published(row, column)) is not None
    }
