"""The records of cells and trainings as typed values: run.json and training.json, old and new.

This is the one module that knows what the records of earlier versions lack. A record is read from
its JSON and keeps it: that is what is written, and what a page shows of it. The types have what
code reads.
"""

import json
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fewshot.errors import UserError

Json = Mapping[str, Any]
Record = TypeVar("Record", bound=Hashable)
Shape = tuple[int, int]
"""The ways and shots of episodes."""
OF_COLUMN = ("n_way", "n_shot", "dataset")
"""The keys of a scoring that tell the columns of a table apart, not its rows."""


@dataclass(frozen=True)
class Git:
    """The commit that something ran at. changed: whether the source differed from it."""

    commit: str
    changed: bool

    @property
    def words(self) -> str:
        """The beginning of the commit, and a note where there were changes."""
        return self.commit[:7] + (" with changes" if self.changed else "")


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine and its software, as `machine.describe` tells; None where a record does not say."""

    processor: str
    processor_kind: str | None = None
    cores: int | None = None
    threads: int | None = None
    gpu: str | None
    driver: str | None = None
    versions: Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """The cost of a training; see `harness.train.Spent`. None where a record does not say."""

    steps: int
    images: int
    train_s: float
    warmup_s: float | None = None
    cpu_s: float | None = None
    others: float | None = None


@dataclass(frozen=True)
class Identity:
    """A data set by its name and the fingerprint of its images."""

    name: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The facts that must be alike for two scores to be compared, and the images seen."""

    transductive: bool
    batch_norm: str
    support_copies: int
    training_classes: str | None
    selection: str | None
    pretraining: str | None
    precision: str
    views: int
    n_query: int
    images: int


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The resolved configuration of a training."""

    dataset: str
    backbone: str
    learner: str
    recipe: Json
    seed: int

    @property
    def validation_shape(self) -> Shape:
        """The shape of its validation episodes."""
        return self.recipe["val_n_way"], self.recipe["val_n_shot"]


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """The test episodes of a cell. dataset: where it is not the training's own, else None."""

    n_way: int
    n_shot: int
    n_query: int
    episodes: int
    episode_seed: int
    support_copies: int
    dataset: str | None = None

    @property
    def shape(self) -> Shape:
        """The shape of its episodes."""
        return self.n_way, self.n_shot


@dataclass(frozen=True, kw_only=True)
class CellConfig:
    """The resolved configuration of a cell. target: the validation accuracy to reach, in 0..1."""

    benchmark: str
    training: TrainingConfig
    scoring: ScoringConfig
    label: str
    target: float | None = None

    @property
    def scored_on(self) -> str:
        """The data set that was scored on."""
        return self.scoring.dataset or self.training.dataset


@dataclass(frozen=True, kw_only=True)
class ScoringRecord:
    """The costs of a scoring; None where a record does not say."""

    cpu_s: float | None = None
    others: float | None = None
    peak_memory_mb: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """A training.json. ran_for: the cell that it ran for; others may share it."""

    id: str
    ran_for: str | None = None
    fingerprint: str | None = None
    learner_digest: str | None = None
    backbone_digest: str | None = None
    spent: Spent
    peak_memory_mb: int | None = None
    host: Host
    git: Git | None
    json: Json

    @staticmethod
    def from_json(values: Any, where: object = "training.json") -> "TrainingRecord":
        """Return the record of these values. Raises UserError where they are none."""
        return _read(TrainingRecord, _object(values, where), where)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run.json. dataset: the images that were scored. training: None for the untrained floor."""

    cell: str
    config: CellConfig
    dataset: Identity
    episodes_digest: str
    host: Host
    git: Git | None
    training: TrainingRecord | None
    protocol: Protocol
    trained_on: Identity
    scoring: ScoringRecord = ScoringRecord()
    origins: Mapping[str, str] = field(default_factory=dict)
    learner_digest: str | None = None
    backbone_digest: str | None = None
    json: Json

    @staticmethod
    def from_json(values: Any, where: object = "run.json") -> "RunRecord":
        """Return the record of these values. Raises UserError where they are none."""
        values = _object(values, where)
        for with_later in LATER_KEYS:
            with suppress(AttributeError, KeyError, TypeError):  # the reader says what is damaged
                values = with_later(values)
        return _read(RunRecord, values, where)

    @cached_property
    def training_setup(self) -> str:
        """The whole configuration of the training as text, but for its seed."""
        return _text(self.json["config"]["training"], ("seed",))

    @cached_property
    def setup(self) -> str:
        """The whole configuration as text, but for what the cells of one table row differ in."""
        return f"[{self.training_setup}, {_text(self.json['config']['scoring'], OF_COLUMN)}]"


def _with_trained_on(run: Json) -> Json:
    return {"trained_on": run["dataset"], **run}


def _with_machine_of_training(run: Json) -> Json:
    if not run["training"]:
        return run
    training = {"git": run["git"], **run["training"]}
    host = training.get("host") or run["host"]
    return {**run, "training": {**training, "host": host, "json": run["training"]}}


def _with_whole_protocol(run: Json) -> Json:
    training, config = run["training"], run["config"]
    later = {
        "views": 2 if config["training"]["learner_options"].get("mirror") else 1,
        "n_query": config["scoring"]["n_query"],
        "images": training["spent"]["images"] if training else 0,
    }
    return {**run, "protocol": {**later, **run["protocol"]}}


LATER_KEYS = (_with_trained_on, _with_machine_of_training, _with_whole_protocol)
"""Functions that put into a run.json what its version lacks, from where that version has it."""


def _object(values: Any, where: object) -> Json:
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: not a JSON object")
    return {**values, "json": values}


def _text(values: Json, without: tuple[str, ...]) -> str:
    kept = {key: value for key, value in values.items() if key not in without}
    return json.dumps(kept, sort_keys=True)


_reader = cache(TypeAdapter[Any])  # making one takes longer than reading many records


def _read(kind: type[Record], values: Json, where: object) -> Record:
    """Return the values as a record. Raises UserError that names a key that is wrong."""
    try:
        record: Record = _reader(kind).validate_python(values)
        return record
    except ValidationError as error:
        # A damaged record may lack its later keys too: what is there and wrong says more.
        first = min(error.errors(), key=lambda e: e["type"] == "missing")
        key = ".".join(map(str, first["loc"]))
        problem = f"no {key}" if first["type"] == "missing" else f"{key}: {first['msg']}"
        raise UserError(f"{where}: {problem}") from None
