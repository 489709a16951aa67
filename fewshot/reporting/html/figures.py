"""The interactive figures as plain values, which `assets/figures.js` draws.

Accuracies are in %. Only what a figure shows is here, never single episode scores.
"""

import math
from collections.abc import Sequence
from typing import Any

from fewshot.reporting.plots.points import Point, main_machine, may_lead, points_of
from fewshot.results.curves import validations_of
from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.rows import TableRow, column_names, protocol_letters
from fewshot.results.timing import mean_time
from fewshot.units import count, duration, percent

COLOURS, SYMBOLS = 8, 7
"""The page's numbers of each: no factor in common, so rows share both only after 56."""
DIGITS = 6


def figure_data(rows: Sequence[TableRow]) -> dict[str, Any]:
    """Return the points of accuracy against cost, and the validation curves, for plotly.

    fullest: the column with most rows, which is shown first. rows: the switch of each row, with
    the numbers of its colour and symbol among those of the page.
    """
    columns = column_names(rows)
    return {
        "columns": columns,
        "fullest": max(columns[::-1], key=lambda c: sum(c in row.scores for row in rows)),
        "rows": [
            {"name": row.full_name, "colour": i % COLOURS, "symbol": i % SYMBOLS}
            for i, row in enumerate(rows)
        ],
        "points": _points(rows),
        "curves": _curves(rows),
    }


def _points(rows: Sequence[TableRow]) -> list[dict[str, Any]]:
    points, letters = points_of(rows), protocol_letters(rows)
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
                "images": p.row.costs.images,
                "adapt_ms": _rounded(_episode_ms(p)),
            },
            # Times of another machine lead no front; images are alike on any.
            "leads": dict.fromkeys(("adapt_ms", "images"), may_lead(p, p.machine))
            | {"train_s": may_lead(p, machines[p.column])},
            "words": _words(p, letters[p.place]),
        }
        for p in points
    ]


def _episode_ms(p: Point) -> float:
    time = mean_time(p.row.costs.episode_times)
    return 1000 * time.seconds if time else math.nan


def _words(p: Point, letter: str) -> list[str]:
    """Return the lines of the hover label below the name."""
    trained = f"{duration(p.seconds).text} on {p.machine}" if p.train_s else "none"
    lines = [
        f"{percent(*p.interval).text} %",
        f"training {trained}",
        f"images seen {count(p.row.costs.images).text}",
        f"{_episode_ms(p):.2f} ms to adapt and predict an episode",
        f"protocol {letter}, seeds {p.row.seeds}",
    ]
    if p.row.transductive:
        lines.append("transductive: sees all queries at once")
    return lines


def _curves(rows: Sequence[TableRow]) -> list[dict[str, Any]]:
    """Return the curve of each training that was validated, with the rows it stands behind."""
    behind = [(place, cell) for place, row in enumerate(rows) for cell in row.costs.trained]
    shared = grouped(behind, lambda found: found[1].run.training and found[1].run.training.id)
    curves = (_curve(found[0][1], [place for place, _ in found]) for found in shared.values())
    return [curve for curve in curves if curve is not None]


def _curve(cell: CellResult, places: list[int]) -> dict[str, Any] | None:
    """Return the curve of a cell's training; None for one that was never validated."""
    found, training = validations_of(cell), cell.run.config.training
    if found is None:
        return None
    return {
        "rows": places,
        "dataset": training.dataset,
        "words": ["seed {}, validated at {}w{}s".format(training.seed, *found.shape)],
        "train_s": [_rounded(seconds) for seconds in found.seconds_V],
        "images": [int(images) for images in found.images_V],
        "accuracy": [_rounded(100 * accuracy) for accuracy in found.accuracy_V],
    }


def _rounded(value: float) -> float | None:
    """Return a number of few digits, for a small page; None for nan, which JSON has not."""
    return None if value != value else float(f"{value:.{DIGITS}g}")
