"""Finished cells as a table, a comparison, figures or a page, for commands and notebooks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from fewshot.data import data_dir
from fewshot.data.catalogue import known_datasets
from fewshot.errors import UserError, unknown_name
from fewshot.reporting.tables import Format, View, render
from fewshot.results import comparison
from fewshot.results.comparison import Comparison
from fewshot.results.files import CellResult, read_cells
from fewshot.results.rows import Over

Cells = Path | str | Sequence[CellResult]
"""A folder of cells, or cells that were read."""


def table(
    results: Cells,
    *,
    form: Format = "text",
    interval: Over = "episodes",
    published: bool = False,
    columns: Sequence[str] | str | None = None,
    sort: str | None = None,
    where: Sequence[str] | str = (),
    group: str | None = None,
    target: float | None = None,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """Return the table of finished cells as text, Markdown, LaTeX, CSV or JSON.

    interval: the samples that ± is over. published: beside each, what others published.
    columns, sort, where, group: as in docs/tables.md. target: the validation accuracy (a fraction)
    that the time to it is for. width: columns of the terminal. colour: with a terminal's codes.
    Raises UserError for cells that cannot stand in one table, and for a view without an answer.
    """
    for name, value, known in (("form", form, Format), ("interval", interval, Over)):
        if value not in get_args(known):
            raise unknown_name(name, value, get_args(known))
    chosen = columns.split(",") if isinstance(columns, str) else columns
    conditions = [where] if isinstance(where, str) else where
    view = View(None if chosen is None else tuple(chosen), sort, tuple(conditions), group, target)
    return render(_cells(results), form, width, interval, published, view, colour)


def compare(
    results: Cells, a: str | None = None, b: str | None = None, *, allow_mixed: bool = False
) -> list[Comparison]:
    """Return the comparison of rows `a` and `b` in each column, or of all pairs of rows.

    A row is named by its learner, its cell's id, or as a comparison shows it. Pairs whose protocols
    differ are refused, unless `allow_mixed`.
    Raises UserError for one name alone, an unknown one, and rows that share no column.
    """
    if (a is None) != (b is None):
        raise UserError("name two rows, or none for all pairs")
    return comparison.compare(_cells(results), a, b, allow_mixed)


def plot(
    results: Cells,
    out: Path | str = "figures",
    *,
    form: str = "png",
    target: float | None = None,
    only: str | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Write the figures of each data set into a folder, and return their files.

    form: png, svg or pdf. target: as in `table`. only: one figure's name. say: hears which figures
    have nothing to show.
    Raises UserError for an unknown format or figure, and when the disk refuses.
    """
    from fewshot.reporting.plots import draw_figures

    return draw_figures(_cells(results), Path(out), form, target, only, say)


def report(
    results: Cells, out: Path | str = "report.html", *, data: Path | str | None = None
) -> Path:
    """Write one HTML page of finished cells, and return its file.

    data: the folder of images; episodes are shown of the data sets that are there.
    Raises UserError where the page cannot be made or written.
    """
    from fewshot.reporting.html import write_report

    directory = data_dir(Path(data) if data else None)
    write_report(_cells(results), Path(out), directory, known_datasets())
    return Path(out)


def _cells(results: Cells) -> Sequence[CellResult]:
    cells = read_cells(Path(results)) if isinstance(results, Path | str) else list(results)
    if not cells:
        raise UserError("no cells: none of these trainings was scored")
    return cells
