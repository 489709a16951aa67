"""Table rows made of cells: rows are learner x backbone, columns data set x episode shape.

Needs neither torch nor images.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np

from fewshot.errors import UserError
from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.protocol import OWN_CLASSES, PROTOCOL, protocol_words
from fewshot.results.records import Protocol, Shape
from fewshot.results.timing import Costs
from fewshot.statistics.intervals import Interval, mean_ci95
from fewshot.units import HOLE, letter

Over = Literal["episodes", "seeds", "data"]
"""The repetition that an interval is over: test episodes, training seeds, or images (disjoint
episodes)."""


@dataclass(frozen=True)
class Score:
    """One number of a table: the cells of a row at one episode shape, one a training seed.

    accuracy_E: of each episode, the mean over training seeds. by_seed: mean accuracy of each seed.
    disjoint_E: as accuracy_E, over episodes that share no image; None where a cell has none.
    """

    cells: tuple[CellResult, ...]
    accuracy_E: np.ndarray
    by_seed: np.ndarray
    disjoint_E: np.ndarray | None

    @property
    def protocol(self) -> Protocol:
        """The protocol of its cells."""
        return self.cells[0].run.protocol

    @cached_property
    def costs(self) -> Costs:
        """The times and images of its cells."""
        return Costs(self.cells)

    @property
    def is_cross_domain(self) -> bool:
        """Return whether the learner was trained on another data set."""
        return self.protocol.training_classes not in OWN_CLASSES

    @cached_property
    def mean(self) -> float:
        """The mean accuracy over the episodes."""
        return float(self.accuracy_E.mean())

    def interval(self, over: Over = "episodes") -> Interval:
        """Return mean and 95 % interval; its width is nan where there are too few values."""
        disjoint_E = np.empty(0) if self.disjoint_E is None else self.disjoint_E
        values = {"episodes": self.accuracy_E, "seeds": self.by_seed, "data": disjoint_E}
        return mean_ci95(values[over])


@dataclass(frozen=True)
class TableRow:
    """A learner on a backbone, with its cells, and its score in each column."""

    cells: tuple[CellResult, ...]
    learner: str
    backbone: str
    label: str
    scores: Mapping[str, Score]

    @property
    def name(self) -> str:
        """The learner, with the label that tells this row from others of its kind."""
        return f"{self.learner} ({self.label})" if self.label else self.learner

    @property
    def full_name(self) -> str:
        """The name with the backbone, where there is one."""
        return self.name if self.backbone == HOLE else f"{self.name}/{self.backbone}"

    @cached_property
    def costs(self) -> Costs:
        """The times and images of its cells."""
        return Costs(self.cells)

    @property
    def protocol(self) -> Protocol:
        """The protocol of its first column."""
        return next(iter(self.scores.values())).protocol

    @property
    def seeds(self) -> int:
        """The number of training seeds."""
        return len({cell.run.config.training.seed for cell in self.cells})

    def seeds_behind(self, columns: Iterable[str]) -> str:
        """Return the number of training seeds, or "2 to 3": a run may be unfinished."""
        behind = {len(self.scores[column].by_seed) for column in columns}
        return " to ".join(str(n) for n in sorted({min(behind), max(behind)}))

    @property
    def transductive(self) -> bool:
        """Return whether predictions may depend on the other query images."""
        return any(score.protocol.transductive for score in self.scores.values())


def table_rows(cells: Sequence[CellResult]) -> list[TableRow]:
    """Return the table rows of cells, the best in the last column first.

    Cells of several training seeds make one row: an episode's accuracy is its mean over the
    seeds, so the interval stays one over episodes.
    Raises UserError when cells that share a column come from different images or episodes.
    """
    _refuse_unlike_data(cells)
    contested = _contested(cells)
    groups = grouped(cells, lambda cell: _row_key(cell, contested))
    rows = [_row(key, group) for key, group in groups.items()]
    columns = column_names(rows)
    return sorted(rows, key=lambda row: best_first(row, columns))


def best_first(row: TableRow, columns: Sequence[str]) -> tuple[object, ...]:
    """Return a key to sort rows by: the last of these columns counts most, then the name."""
    means = (row.scores[c].mean if c in row.scores else -1.0 for c in reversed(columns))
    return (*(-mean for mean in means), row.name)


def column_names(rows: Sequence[TableRow]) -> list[str]:
    """Return every column that some row has, data sets together, fewer shots first."""
    names = {name for row in rows for name in row.scores}
    return sorted(names, key=lambda name: (dataset_in(name), *shape_of(name)))


def dataset_in(column: str) -> str:
    """Return the data set of a column."""
    return column.split()[0]


def shape_of(column: str) -> Shape:
    """Return the ways and shots of a column."""
    way, shot = column.split()[1].removesuffix("s").split("w")
    return int(way), int(shot)


def column_of(cell: CellResult) -> str:
    """Return the column of a cell: data set and episode shape."""
    config = cell.run.config
    return "{} {}w{}s".format(config.scored_on, *config.scoring.shape)


Kind = tuple[str, str, str]
"""Learner, backbone and label."""


def _contested(cells: Sequence[CellResult]) -> set[tuple[Kind, str]]:
    """Return the kinds of rows, and the data sets, that have several setups in a column."""
    by_column = grouped(cells, lambda cell: (_kind(cell), column_of(cell)))
    return {
        (kind, dataset_in(column))
        for (kind, column), found in by_column.items()
        if len({cell.run.setup for cell in found}) > 1
    }


def _row_key(cell: CellResult, contested: set[tuple[Kind, str]]) -> tuple[str, str, str, str]:
    """Return learner, backbone, label, and a hash of the setup where these alone are not one row.

    They are one row where each column has one setup: a learner may have been trained anew, and
    otherwise, for each data set and each shot, as most papers do.
    """
    kind = _kind(cell)
    is_contested = (kind, cell.run.config.scored_on) in contested
    return (*kind, sha256(cell.run.setup.encode()).hexdigest()[:8] if is_contested else "")


def _kind(cell: CellResult) -> Kind:
    """Return learner, backbone and label; the label names the data set trained on if another."""
    config, label = cell.run.config, cell.run.config.label
    if cell.run.training and config.scored_on != config.training.dataset:
        origin = f"trained on {config.training.dataset}"
        label = f"{label}, {origin}" if label else origin
    return (config.training.learner, config.training.backbone, label)


def _row(key: tuple[str, str, str, str], cells: Sequence[CellResult]) -> TableRow:
    learner, backbone, label, distinct = key
    return TableRow(
        cells=tuple(cells),
        learner=learner,
        backbone=backbone if any(cell.run.training for cell in cells) else HOLE,
        label=label or distinct,
        scores={name: _score(own) for name, own in grouped(cells, column_of).items()},
    )


def _score(cells: Sequence[CellResult]) -> Score:
    per_seed = np.stack([cell.episodes["accuracy"].to_numpy() for cell in cells])
    disjoint = [c.disjoint["accuracy"].to_numpy() for c in cells if c.disjoint is not None]
    return Score(
        cells=tuple(cells),
        accuracy_E=per_seed.mean(0),
        by_seed=per_seed.mean(1),
        disjoint_E=np.mean(disjoint, axis=0) if len(disjoint) == len(cells) else None,
    )


def _refuse_unlike_data(cells: Sequence[CellResult]) -> None:
    for column, found in grouped(cells, column_of).items():
        first = found[0].run
        for run in (cell.run for cell in found):
            other_images = run.dataset.fingerprint != first.dataset.fingerprint
            if other_images or run.episodes_digest != first.episodes_digest:
                raise UserError(
                    f"{column}: {run.cell} and {first.cell} were scored on different "
                    f"{'images' if other_images else 'episodes'}; they cannot stand in one table"
                )


def commits(cells: Sequence[CellResult]) -> str:
    """Return the commits that cells were trained or scored at; a note says if it had changes."""
    runs = [cell.run for cell in cells]
    gits = [run.git for run in runs] + [run.training.git for run in runs if run.training]
    return ", ".join(sorted({git.words if git else "unknown" for git in gits}))


def protocol_letters(rows: Sequence[TableRow]) -> list[str]:
    """Return the letter of each row's protocol."""
    words = [protocol_words(row.protocol, list(PROTOCOL)) for row in rows]
    distinct = list(dict.fromkeys(words))
    return [letter(distinct.index(found)) for found in words]
