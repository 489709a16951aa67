"""What the interactive figures draw, as plain values; `assets/figures.js` draws it.

Accuracies are in %. Only what a figure shows is here, never rows of episodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewshot.errors import UserError
from fewshot.reporting.plots.points import Point, main_machine, may_lead, points_of
from fewshot.results.comparison import row_name
from fewshot.results.files import CellResult, read_curve
from fewshot.results.rows import TableRow, column_names, protocol_letters
from fewshot.units import count, duration, percent

COLOURS, SYMBOLS = 8, 7
"""How many of each the page has: no factor in common, so rows share both only after 56."""
DIGITS = 6


@dataclass(frozen=True)
class FigureRow:
    """A row that can be switched on and off: colour and symbol are numbers of those of the page."""

    name: str
    colour: int
    symbol: int


def figure_rows(rows: Sequence[TableRow]) -> list[FigureRow]:
    """One for each row of the table, in its order."""
    return [FigureRow(row_name(row), i % COLOURS, i % SYMBOLS) for i, row in enumerate(rows)]


def figure_data(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> dict[str, Any]:
    """Points of accuracy against cost, and validation curves; all that plotly is given.

    fullest: the column with most rows, which is shown first.
    """
    columns = column_names(rows)
    return {
        "columns": columns,
        "fullest": max(columns[::-1], key=lambda c: sum(c in row.scores for row in rows)),
        "rows": [vars(row) for row in figure_rows(rows)],
        "points": _points(cells, rows),
        "curves": _curves(cells, rows),
    }


def _points(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> list[dict[str, Any]]:
    points, letters = points_of(cells, rows), protocol_letters(rows)
    machines = {
        column: main_machine([p.machine for p in points if p.column == column])
        for column in column_names(rows)
    }
    return [
        {
            "row": p.place,
            "column": p.column,
            "accuracy": _rounded(100 * p.interval.mean),
            "ci95": _rounded(100 * p.interval.ci95),
            "costs": {
                "train_s": _rounded(p.seconds) if p.train_s else None,
                "images": p.row.images,
                "adapt_ms": _rounded(p.row.adapt_ms),
            },
            # Times of another machine lead no front; images are alike on any.
            "leads": {
                "train_s": may_lead(p, machines[p.column]),
                "images": may_lead(p, p.machine),
                "adapt_ms": may_lead(p, p.machine),
            },
            "words": _words(p, letters[p.place]),
        }
        for p in points
    ]


def _words(p: Point, letter: str) -> list[str]:
    """Lines of the hover label below the name."""
    trained = f"{duration(p.seconds).text} on {p.machine}" if p.train_s else "none"
    lines = [
        f"{percent(*p.interval).text} %",
        f"training {trained}",
        f"images seen {count(p.row.images).text}",
        f"{p.row.adapt_ms:.2f} ms to adapt and predict an episode",
        f"protocol {letter}, seeds {p.row.seeds}",
    ]
    if p.row.transductive:
        lines.append("transductive: sees all queries at once")
    return lines


def _curves(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> list[dict[str, Any]]:
    """One for each training that was validated, with the rows it stands behind."""
    by_id = {cell.run["cell"]: cell for cell in cells}
    behind: dict[str, list[int]] = {}
    cell_of: dict[str, CellResult] = {}
    for i, row in enumerate(rows):
        for cell in (by_id[cell_id] for cell_id in row.cell_ids):
            if cell.run["training"]:
                training = cell.run["training"]["id"]
                behind.setdefault(training, []).append(i)
                cell_of.setdefault(training, cell)
    found = [_curve(cell_of[training], sorted(set(places))) for training, places in behind.items()]
    return [curve for curve in found if curve["accuracy"]]


def _curve(cell: CellResult, places: list[int]) -> dict[str, Any]:
    training = cell.run["config"]["training"]
    recipe, seed = training["recipe"], training["seed"]
    rows = [row for row in _read(cell) if row["val_accuracy"] == row["val_accuracy"]]
    return {
        "rows": places,
        "dataset": training["dataset"],
        "words": [f"seed {seed}, validated at {recipe['val_n_way']}w{recipe['val_n_shot']}s"],
        "train_s": [_rounded(row["seconds"]) for row in rows],
        "images": [int(row["images"]) for row in rows],
        "accuracy": [_rounded(100 * row["val_accuracy"]) for row in rows],
    }


def _read(cell: CellResult) -> list[Mapping[str, Any]]:
    path = cell.path / "curve.csv"
    try:
        rows = read_curve(path)
        return [{key: row[key] for key in ("seconds", "images", "val_accuracy")} for row in rows]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def _rounded(value: float) -> float | None:
    """Few digits, for a small page; nan, which JSON has not, as None."""
    return None if value != value else float(f"{value:.{DIGITS}g}")
