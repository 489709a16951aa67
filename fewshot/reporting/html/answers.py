"""What each learner called each query image, of the episodes whose predictions a cell has kept.

Axes: see `fewshot.episodes.sampling`; M queries of a class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewshot.episodes.sampling import Episode
from fewshot.errors import UserError
from fewshot.results.comparison import row_name
from fewshot.results.files import CellResult
from fewshot.results.rows import TableRow, column_names, column_of


class Line(NamedTuple):
    """The labels 0..N-1 that one learner gave to the query images of a class."""

    name: str
    predicted: Sequence[int]


class Answers(NamedTuple):
    """What the learners of a column called the query images of a class.

    right: how many of the lines got each of them right.
    """

    column: str
    lines: Sequence[Line]
    right: Sequence[int]


class Kept(NamedTuple):
    """A cell that a row has in a column. name: the row's; with the seed, where it has several."""

    row: str
    column: str
    name: str
    cell: CellResult


def kept_predictions(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> list[Kept]:
    """The cells behind each score of the table, in its order."""
    by_id = {cell.run["cell"]: (column_of(cell), cell) for cell in cells}
    found = []
    for row in rows:
        name = row_name(row)
        for cell_id in dict.fromkeys(row.cell_ids):
            column, cell = by_id[cell_id]
            seed = f", seed {cell.run['config']['training']['seed']}" if row.seeds > 1 else ""
            found.append(Kept(name, column, name + seed, cell))
    columns = {column: place for place, column in enumerate(column_names(rows))}
    return sorted(found, key=lambda kept: columns[kept.column])


def answers_of(kept: Sequence[Kept], number: int, episode: Episode, label: int) -> list[Answers]:
    """By column, what was called the queries of the class `label` of episode `number`.

    Raises UserError where a cell's predictions are not of this episode.
    """
    lines: dict[str, list[Line]] = {}
    places_M = np.flatnonzero(episode.query_y_Q == label)
    for each in kept:
        predicted_Q = _predicted(each.cell, number, episode)
        if predicted_Q is not None:
            line = Line(each.name, predicted_Q[places_M].tolist())
            lines.setdefault(each.column, []).append(line)
    return [
        Answers(
            column,
            found,
            [sum(line.predicted[m] == label for line in found) for m in range(len(places_M))],
        )
        for column, found in lines.items()
    ]


def without_predictions(kept: Sequence[Kept], wanted: int) -> list[str]:
    """Rows that have not kept the predictions of the first `wanted` episodes; with the columns
    where they have not, if they have elsewhere.
    """
    columns: dict[str, dict[str, bool]] = {}
    for each in kept:
        has = each.cell.examples is not None and each.cell.examples["episode"].nunique() >= wanted
        of_row = columns.setdefault(each.row, {})
        of_row[each.column] = of_row.get(each.column, True) and has
    return [
        name if not any(has.values()) else f"{name} ({', '.join(_lacking(has))})"
        for name, has in columns.items()
        if not all(has.values())
    ]


def _lacking(has: dict[str, bool]) -> list[str]:
    return [column.split()[1] for column, kept in has.items() if not kept]


def _predicted(cell: CellResult, number: int, episode: Episode) -> np.ndarray | None:
    """The labels given to the queries of an episode, None where they are not kept."""
    if cell.examples is None:
        return None
    of_episode = cell.examples[cell.examples["episode"] == number].sort_values("query")
    if of_episode.empty:
        return None
    queries_Q, predicted_Q = of_episode["query"].to_numpy(), of_episode["predicted"].to_numpy()
    n_way, labels_Q = len(episode.class_ids_N), episode.query_y_Q
    fits = (
        np.array_equal(queries_Q, np.arange(len(labels_Q)))
        and np.isin(predicted_Q, np.arange(n_way)).all()
        and np.isclose((predicted_Q == labels_Q).mean(), cell.episodes["accuracy"].iloc[number])
    )
    if not fits:
        raise UserError(
            f"{cell.run['cell']}: the predictions it has kept are not those of episode {number}"
        )
    return predicted_Q
