"""Real episodes of the test split as pictures, with what each learner made of them.

Which images an episode has is a function of (seed, split, number), so it is drawn again here; the
accuracy on it is row `number` of each cell. Axes: see `fewshot.sampling`.
"""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fewshot.compare import row_name
from fewshot.data.glyphs import class_split as glyphs_split
from fewshot.data.splits import ClassSplit, load_split, parse_split
from fewshot.data.store import Store, open_store
from fewshot.errors import UserError
from fewshot.plots.points import column_of
from fewshot.results import CellResult
from fewshot.rows import Row, column_names, shape_of
from fewshot.sampling import Episode, EpisodeShape, draw_episode, episodes_digest

IN_ALL, AT_MOST = 6, 4
"""Episodes on the page, and of one data set: pictures are most of what the page weighs."""
LOSSLESS_PX = 48
"""Larger images are shown as JPEG, which is five times smaller and looks the same."""
OWN_SPLIT = "split.toml"
DATA_FOLDER = "the data folder"
"""What the page calls it: a path says nothing to readers on another machine."""


class Outcome(NamedTuple):
    """The accuracy of a row on one episode, in %, by column; None for a hole."""

    name: str
    percents: Sequence[float | None]


@dataclass(frozen=True)
class ClassImages:
    """Images of a class as data URIs. query: in the order of their labels, not as shown to
    learners, who get all queries of an episode mixed.
    """

    name: str
    support: Sequence[str]
    query: Sequence[str]


@dataclass(frozen=True)
class Example:
    """Episode `number` of the test split."""

    number: int
    classes: Sequence[ClassImages]
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class DataSetExamples:
    """The first episodes of a data set. missing: why there are none, else ""."""

    dataset: str
    columns: Sequence[str]
    image_px: int
    n_query: int
    examples: Sequence[Example]
    missing: str


class _Group(NamedTuple):
    """What columns share whose episodes differ in the number of shots alone."""

    dataset: str
    seed: int
    n_way: int
    n_query: int


def data_set_examples(
    cells: Sequence[CellResult], rows: Sequence[Row], data_dir: Path
) -> list[DataSetExamples]:
    """Examples of each data set that the rows have, in the order of the table."""
    cell_of = {column_of(cell): cell for cell in cells}
    groups: dict[_Group, dict[str, CellResult]] = {}
    for column in column_names(rows):
        scoring = cell_of[column].run["config"]["scoring"]
        group = _Group(
            column.split()[0], scoring["episode_seed"], scoring["n_way"], scoring["n_query"]
        )
        groups.setdefault(group, {})[column] = cell_of[column]
    wanted = min(AT_MOST, max(1, IN_ALL // len(groups)))
    return [_examples(group, found, rows, data_dir, wanted) for group, found in groups.items()]


def _examples(
    group: _Group, cells: dict[str, CellResult], rows: Sequence[Row], data_dir: Path, wanted: int
) -> DataSetExamples:
    try:
        test = _open_test(group.dataset, data_dir)
        for cell in cells.values():
            _refuse_others(cell.run, test)
        images_px, missing = test.store.images_IHWC.shape[1], ""
        n_shot = max(shape_of(column)[1] for column in cells)
        shape = EpisodeShape(group.n_way, n_shot, group.n_query)
        wanted = min(wanted, *(len(cell.episodes) for cell in cells.values()))
        drawn = [draw_episode(group.seed, "test", i, test.sizes_C, shape) for i in range(wanted)]
        examples = [
            Example(i, _classes(episode, test), _outcomes(i, list(cells), rows))
            for i, episode in enumerate(drawn)
        ]
    except UserError as error:
        images_px, examples = 0, []
        missing = str(error).replace(str(data_dir), DATA_FOLDER)
    return DataSetExamples(group.dataset, list(cells), images_px, group.n_query, examples, missing)


class _Test(NamedTuple):
    """The test split of a store: names of its classes, sorted, with their first rows and sizes."""

    store: Store
    names: Sequence[str]
    starts_C: np.ndarray
    sizes_C: np.ndarray


def _open_test(dataset: str, data_dir: Path) -> _Test:
    """Opens what is there, and fetches or draws nothing. Raises UserError where nothing is."""
    store = open_store(data_dir / dataset)
    names = sorted(_split(dataset, data_dir).classes("test"))
    if missing := set(names) - set(store.class_names):
        raise UserError(f"{store.path}: no test class '{min(missing)}'")
    places_C = np.array([store.class_names.index(name) for name in names])
    return _Test(store, names, store.class_starts[places_C], store.class_sizes[places_C])


def _split(dataset: str, data_dir: Path) -> ClassSplit:
    own = data_dir / dataset / OWN_SPLIT
    if own.is_file():
        return parse_split(own)
    if dataset == "glyphs":
        return glyphs_split()
    try:
        return load_split(dataset)
    except FileNotFoundError:
        raise UserError(f"{own.parent}: no {OWN_SPLIT} says what the test classes are") from None


def _refuse_others(run: dict[str, Any], test: _Test) -> None:
    """Raises UserError unless these images, and these episodes, are those that were scored."""
    if test.store.fingerprint != run["dataset"]["fingerprint"]:
        raise UserError(
            f"the images of {test.store.path.name} here (fingerprint {test.store.fingerprint}) are "
            f"not those that were scored ({run['dataset']['fingerprint']})"
        )
    scoring = run["config"]["scoring"]
    shape = EpisodeShape(scoring["n_way"], scoring["n_shot"], scoring["n_query"])
    digest = episodes_digest(
        draw_episode(scoring["episode_seed"], "test", i, test.sizes_C, shape)
        for i in range(scoring["episodes"])
    )
    if digest != run["episodes_digest"]:
        raise UserError(f"the episodes drawn here are not those of {run['cell']}")


def _classes(episode: Episode, test: _Test) -> list[ClassImages]:
    out = []
    for label, class_id in enumerate(episode.class_ids_N):
        start = test.starts_C[class_id]
        query = episode.query_Q[episode.query_y_Q == label]
        support_IHWC = test.store.images_IHWC[start + episode.support_NK[label]]
        query_IHWC = test.store.images_IHWC[start + query]
        out.append(
            ClassImages(
                test.names[class_id],
                [_data_uri(image_HWC) for image_HWC in support_IHWC],
                [_data_uri(image_HWC) for image_HWC in query_IHWC],
            )
        )
    return out


def _outcomes(number: int, columns: Sequence[str], rows: Sequence[Row]) -> list[Outcome]:
    """Rows that have a score in one of the columns."""
    return [
        Outcome(
            row_name(row),
            [
                100 * float(row.scores[c].accuracy_E[number]) if c in row.scores else None
                for c in columns
            ],
        )
        for row in rows
        if any(column in row.scores for column in columns)
    ]


def _data_uri(image_HWC: np.ndarray) -> str:
    lossless = len(image_HWC) <= LOSSLESS_PX
    out = io.BytesIO()
    image = Image.fromarray(image_HWC)
    if lossless:
        image.save(out, "PNG", optimize=True)
    else:
        image.save(out, "JPEG", quality=85)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{b64encode(out.getvalue()).decode()}"
