"""The answers of each learner: the labels it gave to query images, where a cell has kept them.

Axes: see `fewshot.episodes.sampling`; M queries of a class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewshot.episodes.sampling import Episode
from fewshot.errors import UserError
from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.rows import TableRow, column_names


class Answer(NamedTuple):
    """The labels 0..N-1 that one learner gave to the query images of a class."""

    name: str
    predicted: Sequence[int]


class Answers(NamedTuple):
    """The labels that the learners of a column gave to the query images of a class.

    right: how many of the lines got each of them right.
    """

    column: str
    lines: Sequence[Answer]
    right: Sequence[int]


class Kept(NamedTuple):
    """A cell of a row in a column. name: the row's; with the seed, where it has several."""

    row: str
    column: str
    name: str
    cell: CellResult


def kept_predictions(rows: Sequence[TableRow]) -> list[Kept]:
    """Return the cells behind each score of the table, column by column."""
    found = []
    for column in column_names(rows):
        for row in (row for row in rows if column in row.scores):
            name = row.full_name
            for cell in row.scores[column].cells:
                seed = f", seed {cell.run.config.training.seed}" if row.seeds > 1 else ""
                found.append(Kept(name, column, name + seed, cell))
    return found


def answers_of(kept: Sequence[Kept], number: int, episode: Episode, label: int) -> list[Answers]:
    """Return by column the answers to the queries of the class `label` of episode `number`.

    Raises UserError where a cell's predictions are not of this episode.
    """
    places_M = np.flatnonzero(episode.query_y_Q == label)
    out = []
    for column, of_column in grouped(kept, lambda each: each.column).items():
        predicted = ((each.name, _predicted(each.cell, number, episode)) for each in of_column)
        lines = [Answer(name, p_Q[places_M].tolist()) for name, p_Q in predicted if p_Q is not None]
        right = [sum(line.predicted[m] == label for line in lines) for m in range(len(places_M))]
        if lines:
            out.append(Answers(column, lines, right))
    return out


def without_predictions(kept: Sequence[Kept], wanted: int) -> list[str]:
    """Return the rows that lack predictions of some of the first `wanted` episodes.

    A row that has kept them in other columns is told with the shapes where it has not.
    """
    out = []
    for name, of_row in grouped(kept, lambda each: each.row).items():
        columns = dict.fromkeys(each.column for each in of_row)
        lacks = dict.fromkeys(each.column for each in of_row if not _has_kept(each, wanted))
        shapes = ", ".join(column.split()[1] for column in lacks)
        if lacks:
            out.append(name if len(lacks) == len(columns) else f"{name} ({shapes})")
    return out


def _has_kept(each: Kept, wanted: int) -> bool:
    examples = each.cell.examples
    return examples is not None and examples["episode"].nunique() >= wanted


def _predicted(cell: CellResult, number: int, episode: Episode) -> np.ndarray | None:
    """Return the labels given to the queries of an episode, None where they are not kept."""
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
            f"{cell.run.cell}: the predictions it has kept are not those of episode {number}"
        )
    return predicted_Q
