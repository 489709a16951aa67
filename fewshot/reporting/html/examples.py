"""Real episodes of the test split as pictures, with what each learner made of them.

The images of an episode are a function of (seed, split, number), so it is drawn again here; the
accuracy on it is episode score `number` of each cell. Axes: see `fewshot.episodes.sampling`.
"""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fewshot.data import DataSets, open_source
from fewshot.episodes.sampling import Episode, EpisodeShape, draw_episode, episodes_digest
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError
from fewshot.reporting.episode_picture import class_images
from fewshot.reporting.html.answers import (
    Answers,
    Kept,
    answers_of,
    kept_predictions,
    without_predictions,
)
from fewshot.results.grouping import grouped
from fewshot.results.records import CellConfig, RunRecord
from fewshot.results.rows import TableRow, shape_of
from fewshot.units import letter

IN_ALL, AT_MOST = 6, 4
"""The most episodes on the page, and of one data set: pictures are most of the page's weight."""
LOSSLESS_PX = 48
"""Larger images are shown as JPEG, which is five times smaller and looks the same."""
DATA_FOLDER = "the data folder"
"""The page's name for it: a path says nothing to readers on another machine."""


class Outcome(NamedTuple):
    """The accuracy of a row on one episode, in %, by column; None for a hole."""

    name: str
    percents: Sequence[float | None]


@dataclass(frozen=True)
class ClassExample:
    """A class of an episode, its images as data URIs. letter: what stands for it.

    query: its images alone; learners get all queries of an episode mixed. answers: their labels.
    """

    letter: str
    name: str
    support: Sequence[str]
    query: Sequence[str]
    answers: Sequence[Answers]


@dataclass(frozen=True)
class Example:
    """Episode `number` of the test split."""

    number: int
    classes: Sequence[ClassExample]
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class DataSetExamples:
    """The first episodes of a data set.

    answered: columns of which predictions are shown. without: rows that have kept none, in words.
    missing: why there are no episodes, else "".
    """

    dataset: str
    columns: Sequence[str]
    image_px: int
    n_query: int
    examples: Sequence[Example] = ()
    answered: Sequence[str] = ()
    without: Sequence[str] = ()
    missing: str = ""


def data_set_examples(
    rows: Sequence[TableRow], data_dir: Path, datasets: DataSets
) -> list[DataSetExamples]:
    """Return examples of each data set that the rows have, in the order of the table.

    Raises UserError where a cell's predictions are not of its episodes.
    """
    kept = kept_predictions(rows)
    groups = grouped(kept, lambda each: _all_but_shots(each.cell.run.config))
    wanted = min(AT_MOST, max(1, IN_ALL // len(groups)))
    return [_examples(rows, own, data_dir, datasets, wanted) for own in groups.values()]


def _all_but_shots(config: CellConfig) -> tuple[object, ...]:
    """Return what columns share whose episodes differ in the number of shots alone."""
    scoring = config.scoring
    return config.scored_on, scoring.episode_seed, scoring.n_way, scoring.n_query


def _examples(
    rows: Sequence[TableRow],
    kept: Sequence[Kept],
    data_dir: Path,
    datasets: DataSets,
    wanted: int,
) -> DataSetExamples:
    cells = {each.column: each.cell for each in kept}
    columns, config = list(cells), kept[0].cell.run.config
    dataset, n_way, n_query = config.scored_on, config.scoring.n_way, config.scoring.n_query
    try:
        test = open_source(dataset, "test", data_dir, datasets, draw=False)
        for cell in cells.values():
            _refuse_others(cell.run, test)
    except UserError as error:
        missing = str(error).replace(str(data_dir), DATA_FOLDER)
        return DataSetExamples(dataset, columns, 0, n_query, missing=missing)
    shape = EpisodeShape(n_way, max(shape_of(column)[1] for column in cells), n_query)
    wanted = min(wanted, *(len(cell.episodes) for cell in cells.values()))
    drawn = [
        draw_episode(config.scoring.episode_seed, "test", i, test.class_sizes, shape)
        for i in range(wanted)
    ]
    examples = [
        Example(i, _classes(i, episode, test, kept), _outcomes(i, columns, rows))
        for i, episode in enumerate(drawn)
    ]
    answered = {answers.column for e in examples for c in e.classes for answers in c.answers}
    return DataSetExamples(
        dataset,
        columns,
        test.image_size,
        n_query,
        examples,
        [column for column in columns if column in answered],
        without_predictions(kept, wanted),
    )


def _refuse_others(run: RunRecord, test: EpisodeSource) -> None:
    """Raise UserError unless these images, and these episodes, are those that were scored."""
    if test.fingerprint != run.dataset.fingerprint:
        raise UserError(
            f"the images of {test.dataset} here (fingerprint {test.fingerprint}) are "
            f"not those that were scored ({run.dataset.fingerprint})"
        )
    scoring = run.config.scoring
    shape = EpisodeShape(scoring.n_way, scoring.n_shot, scoring.n_query)
    digest = episodes_digest(
        draw_episode(scoring.episode_seed, "test", i, test.class_sizes, shape)
        for i in range(scoring.episodes)
    )
    if digest != run.episodes_digest:
        raise UserError(f"the episodes drawn here are not those of {run.cell}")


def _classes(
    number: int, episode: Episode, test: EpisodeSource, kept: Sequence[Kept]
) -> list[ClassExample]:
    return [
        ClassExample(
            letter(label).upper(),
            images.name,
            [_data_uri(image_HWC) for image_HWC in images.support_KHWC],
            [_data_uri(image_HWC) for image_HWC in images.query_MHWC],
            answers_of(kept, number, episode, label),
        )
        for label, images in enumerate(class_images(episode, test))
    ]


def _outcomes(number: int, columns: Sequence[str], rows: Sequence[TableRow]) -> list[Outcome]:
    """Return the accuracies on an episode of the rows that have a score in one of the columns."""
    outcomes = []
    for row in rows:
        scores = [row.scores.get(column) for column in columns]
        if any(scores):
            percents = [100 * float(s.accuracy_E[number]) if s else None for s in scores]
            outcomes.append(Outcome(row.full_name, percents))
    return outcomes


def _data_uri(image_HWC: np.ndarray) -> str:
    kind = "png" if len(image_HWC) <= LOSSLESS_PX else "jpeg"
    out = io.BytesIO()
    Image.fromarray(image_HWC).save(out, kind, optimize=kind == "png", quality=85)
    return f"data:image/{kind};base64,{b64encode(out.getvalue()).decode()}"
