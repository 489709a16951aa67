"""Cells to the rows of a table: what stands beside what, under which protocol, in which numbers.

Rows are learner x backbone, columns data set x episode shape. Needs neither torch nor images.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

import numpy as np

from fewshot.errors import UserError
from fewshot.results.files import CellResult
from fewshot.results.protocol import OWN_CLASSES, PROTOCOL, protocol_words
from fewshot.results.timing import Timing, mean_time, scoring_time, training_time
from fewshot.statistics.intervals import Interval, mean_ci95
from fewshot.units import HOLE, letter

Over = Literal["episodes", "seeds", "data"]
"""What an interval is over: test episodes, training seeds, or images (disjoint episodes)."""


@dataclass(frozen=True)
class Score:
    """One number of a table: a row's cells at one episode shape.

    accuracy_E: of each episode, the mean over training seeds. by_seed: mean accuracy of each seed.
    disjoint_E: as accuracy_E, over episodes that share no image; None where a cell has none.
    protocol: the keys of `PROTOCOL`, and `images` seen in training.
    """

    accuracy_E: np.ndarray
    by_seed: np.ndarray
    disjoint_E: np.ndarray | None
    protocol: Mapping[str, Any]

    @property
    def is_cross_domain(self) -> bool:
        """Whether the learner was trained on another data set."""
        return self.protocol["training_classes"] not in OWN_CLASSES

    @cached_property
    def mean(self) -> float:
        """Mean accuracy over the episodes."""
        return float(self.accuracy_E.mean())

    def interval(self, over: Over = "episodes") -> Interval:
        """Mean and 95 % interval; its width is nan where there are too few values for one."""
        if over == "seeds":
            return mean_ci95(self.by_seed)
        if over == "data":
            return mean_ci95([] if self.disjoint_E is None else self.disjoint_E)
        return mean_ci95(self.accuracy_E)


@dataclass(frozen=True)
class TableRow:
    """One line of a table: who, its score in each column, and what it cost.

    cell_ids: the cells that it is made of. train_s: mean over those of its trainings whose times
    may be averaged (see `timing.alike`); images: over all.
    """

    cell_ids: tuple[str, ...]
    learner: str
    backbone: str
    label: str
    seeds: int
    scores: Mapping[str, Score]
    train_s: float | None
    images: int | None
    adapt_ms: float

    @property
    def name(self) -> str:
        """The learner, with what tells this row from others of its kind."""
        return f"{self.learner} ({self.label})" if self.label else self.learner

    def seeds_behind(self, columns: Iterable[str]) -> str:
        """How many training seeds, or from how few to how many: a run may be unfinished."""
        behind = {len(self.scores[column].by_seed) for column in columns}
        return " to ".join(str(n) for n in sorted({min(behind), max(behind)}))

    @property
    def transductive(self) -> bool:
        """Whether predictions may depend on the other query images."""
        return any(score.protocol["transductive"] for score in self.scores.values())


def table_rows(cells: Sequence[CellResult]) -> list[TableRow]:
    """Cells grouped into rows, best last column first.

    Cells of several training seeds make one row: an episode's accuracy is its mean over the
    seeds, so the interval stays one over episodes.
    Raises UserError when cells that share a column come from different images or episodes.
    """
    _refuse_unlike_data(cells)
    contested = _contested(cells)
    groups: dict[tuple[str, str, str, str], list[CellResult]] = {}
    for cell in cells:
        groups.setdefault(_row_key(cell, contested), []).append(cell)
    rows = [_row(key, group) for key, group in groups.items()]
    columns = column_names(rows)
    return sorted(rows, key=lambda row: best_first(row, columns))


def best_first(row: TableRow, columns: Sequence[str]) -> tuple[object, ...]:
    """What rows are sorted by: the last of these columns counts most, then the name."""
    means = (row.scores[c].mean if c in row.scores else -1.0 for c in reversed(columns))
    return (*(-mean for mean in means), row.name)


def column_names(rows: Sequence[TableRow]) -> list[str]:
    """Every column that some row has, data sets together, fewer shots first."""
    names = {name for row in rows for name in row.scores}
    return sorted(names, key=lambda name: (dataset_in(name), *shape_of(name)))


def dataset_in(column: str) -> str:
    """The data set of a column."""
    return column.split()[0]


def shape_of(column: str) -> tuple[int, int]:
    """Ways and shots of a column."""
    way, shot = column.split()[1].removesuffix("s").split("w")
    return int(way), int(shot)


def episode_time(cell: CellResult) -> Timing:
    """To adapt and predict an episode, on average."""
    total_ms = cell.episodes["adapt_ms"].mean() + cell.episodes["predict_ms"].mean()
    return scoring_time(cell.run, float(total_ms) / 1000)


Kind = tuple[str, str, str]
"""Learner, backbone and label."""


def _contested(cells: Sequence[CellResult]) -> set[tuple[Kind, str]]:
    """The kinds of rows, and the data sets, that have several setups in a column."""
    setups: dict[tuple[Kind, str], dict[str, set[str]]] = {}
    for cell in cells:
        columns = setups.setdefault((_kind(cell), dataset_of(cell)), {})
        columns.setdefault(column_of(cell), set()).add(_setup(cell))
    return {
        key for key, columns in setups.items() if any(len(found) > 1 for found in columns.values())
    }


def _row_key(cell: CellResult, contested: set[tuple[Kind, str]]) -> tuple[str, str, str, str]:
    """Learner, backbone and label; and a hash of the setup where these alone are not one row.

    They are one row where each column has one setup: a learner may have been trained anew, and
    otherwise, for each data set and each shot, as most papers do.
    """
    kind = _kind(cell)
    is_contested = (kind, dataset_of(cell)) in contested
    return (*kind, sha256(_setup(cell).encode()).hexdigest()[:8] if is_contested else "")


def _kind(cell: CellResult) -> Kind:
    """Learner, backbone and label; cells scored on another data set than their training's own
    make rows of their own.
    """
    config = cell.run["config"]
    training, label = config["training"], config["label"]
    if cell.run["training"] and dataset_of(cell) != training["dataset"]:
        origin = f"trained on {training['dataset']}"
        label = f"{label}, {origin}" if label else origin
    return (training["learner"], training["backbone"], label)


def dataset_of(cell: CellResult) -> str:
    """The data set that was scored on; early cells know no other than the training's."""
    config = cell.run["config"]
    return str(config["scoring"].get("dataset") or config["training"]["dataset"])


def _setup(cell: CellResult) -> str:
    """The whole configuration as text, but for what the cells of one row differ in."""
    config = cell.run["config"]
    training = {k: v for k, v in config["training"].items() if k != "seed"}
    of_column = ("n_way", "n_shot", "dataset")
    scoring = {k: v for k, v in config["scoring"].items() if k not in of_column}
    return json.dumps([training, scoring], sort_keys=True)


def column_of(cell: CellResult) -> str:
    """Its column: data set and episode shape."""
    scoring = cell.run["config"]["scoring"]
    return f"{dataset_of(cell)} {scoring['n_way']}w{scoring['n_shot']}s"


def _row(key: tuple[str, str, str, str], cells: Sequence[CellResult]) -> TableRow:
    learner, backbone, label, distinct = key
    columns: dict[str, list[CellResult]] = {}
    for cell in cells:
        columns.setdefault(column_of(cell), []).append(cell)
    trainings = {c.run["training"]["id"]: c.run["training"] for c in cells if c.run["training"]}
    times = {c.run["training"]["id"]: training_time(c.run) for c in cells if c.run["training"]}
    time = mean_time([t for t in times.values() if t is not None])
    tested = mean_time([episode_time(cell) for cell in cells])
    images = [t["spent"]["images"] for t in trainings.values()]
    return TableRow(
        cell_ids=tuple(cell.run["cell"] for cell in cells),
        learner=learner,
        backbone=backbone if trainings else HOLE,
        label=label or distinct,
        seeds=len({c.run["config"]["training"]["seed"] for c in cells}),
        scores={name: _score(group) for name, group in columns.items()},
        train_s=time and time.seconds,
        images=round(float(np.mean(images))) if images else None,
        adapt_ms=1000 * tested.seconds if tested else math.nan,
    )


def _score(cells: Sequence[CellResult]) -> Score:
    per_seed = np.stack([cell.episodes["accuracy"].to_numpy() for cell in cells])
    disjoint = [c.disjoint["accuracy"].to_numpy() for c in cells if c.disjoint is not None]
    return Score(
        accuracy_E=per_seed.mean(0),
        by_seed=per_seed.mean(1),
        disjoint_E=np.mean(disjoint, axis=0) if len(disjoint) == len(cells) else None,
        protocol=_protocol(cells[0].run),
    )


def _protocol(run: Mapping[str, Any]) -> dict[str, Any]:
    """As run.json has it; what early cells lack there, from where they have it."""
    training, options = run["training"], run["config"]["training"]["learner_options"]
    return {
        "views": 2 if options.get("mirror") else 1,
        "n_query": run["config"]["scoring"]["n_query"],
        "images": training["spent"]["images"] if training else 0,
        **run["protocol"],
    }


def _refuse_unlike_data(cells: Sequence[CellResult]) -> None:
    seen: dict[str, tuple[str, str, CellResult]] = {}
    for cell in cells:
        column = column_of(cell)
        data, episodes = cell.run["dataset"]["fingerprint"], cell.run["episodes_digest"]
        first = seen.setdefault(column, (data, episodes, cell))
        for kind, ours, theirs in (
            ("images", data, first[0]),
            ("episodes", episodes, first[1]),
        ):
            if ours != theirs:
                raise UserError(
                    f"{column}: {cell.run['cell']} and {first[2].run['cell']} were scored on "
                    f"different {kind}; they cannot stand in one table"
                )


def commits(cells: Sequence[CellResult]) -> str:
    """Each commit that cells were trained or scored at, with a note where it had changes."""
    found = {_commit(git) for cell in cells for git in _gits(cell.run)}
    return ", ".join(sorted(found))


def _gits(run: Mapping[str, Any]) -> Iterable[Mapping[str, Any] | None]:
    return run["git"], (run["training"] or {}).get("git", run["git"])


def _commit(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return git["commit"][:7] + (" with changes" if git["changed"] else "")


def protocol_of(row: TableRow) -> Mapping[str, Any]:
    """The protocol of a row: that of its first column."""
    return next(iter(row.scores.values())).protocol


def protocol_differences(rows: Sequence[TableRow]) -> tuple[list[str], list[str]]:
    """The keys of `PROTOCOL` in which all rows agree, and those in which some do not."""
    protocols = [protocol_of(row) for row in rows]
    shared = [key for key in PROTOCOL if all(p[key] == protocols[0][key] for p in protocols)]
    return shared, [key for key in PROTOCOL if key not in shared]


def protocol_letters(rows: Sequence[TableRow]) -> list[str]:
    """For each row the letter of its protocol."""
    words = [protocol_words(protocol_of(row), list(PROTOCOL)) for row in rows]
    distinct = list(dict.fromkeys(words))
    return [letter(distinct.index(found)) for found in words]
