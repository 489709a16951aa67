"""A benchmark file (TOML) to frozen cells with stable ids; unknown keys are errors.

A *training* is data set x backbone x learner x recipe x seed; a *cell* is a training scored at
one episode shape. Both are named by a hash of their resolved configuration, defaults included:
whatever changes the numbers changes the name.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Interval
from pydantic import TypeAdapter, ValidationError

from fewshot.errors import UserError, unknown_name
from fewshot.sampling import EpisodeShape

Count = Annotated[int, Gt(0)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(gt=0, lt=1)]
ImageEdge = Annotated[int, Ge(8)]
Origins = Mapping[str, str]
T = TypeVar("T")


def option(default: Any, *, test_only: bool = False, added_later: bool = False) -> Any:
    """A field of a learner's `Config` with a meaning for names.

    test_only: it matters at test alone, so cells that differ in it share their training.
    added_later: it did not exist from the start, and its default is how things were before; at
    its default it stays out of the hash, so that cells measured before keep their names.
    """
    return field(default=default, metadata={"test_only": test_only, "added_later": added_later})


@dataclass(frozen=True)
class Scoring:
    """Episodes to score on. `episode_seed`, split and shape alone decide which they are."""

    n_way: Count = 5
    n_shot: Count = 5
    n_query: Count = 15
    episodes: Count = 2000
    episode_seed: Annotated[int, Ge(0)] = 0
    support_copies: Annotated[int, Ge(0)] = 0
    """Augmented copies that stand for each support image; 0: the clean image alone."""
    dataset: str | None = option(None, added_later=True)
    """The data set whose test classes are scored, where it is not the training's."""

    @property
    def shape(self) -> EpisodeShape:
        """The shape of a test episode."""
        return EpisodeShape(self.n_way, self.n_shot, self.n_query)


@dataclass(frozen=True)
class Recipe:
    """How a learner is trained: budget, optimiser, batches, selection. The same for every learner.

    Training ends when the first of the budgets that are given (steps, images, seconds) is used
    up; the schedule of the learning rate runs over the share of the budget spent.
    """

    steps: Count | None = None
    images: Count | None = None
    seconds: Positive | None = None
    optimizer: Literal["sgd", "adam", "radam", "muon"] = "sgd"
    lr: Positive = 0.1
    weight_decay: NonNegative = 5e-4
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.2
    """Share of the budget over which the learning rate rises, with `one_cycle`."""
    augment: Literal["none", "crop_flip", "crop_flip_jitter"] = "crop_flip"
    image_sizes: tuple[tuple[Share, ImageEdge], ...] = option((), added_later=True)
    """Smaller images at the start (progressive resolution): pairs of a share of the budget and the
    edge in pixels to which images are resized until then; after the last of them, full size."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Of the backbone, the rest is float32; `tf32` rounds the factors of all products, on a GPU."""
    compile: bool = option(False, added_later=True)
    """Whether the training step is compiled (torch.compile; needs a C++ compiler on a CPU)."""
    convolutions: Literal["direct", "winograd"] = option("direct", added_later=True)
    """How 3x3 convolutions are computed: `winograd` takes fewer multiplications, in float32 on a
    CPU (needs numba: the extra `winograd`), and rounds a little differently."""
    batch_size: Count = 128
    """Images of a step, for learners that train on labelled images."""
    episodes_per_step: Count = 1
    n_way: Count = 5
    n_shot: Count = 5
    n_query: Count = 15
    """The training episodes, for learners that train on episodes; n_query is per class."""
    validations: Annotated[int, Ge(0)] = 10
    """How often the learner is scored on validation episodes, evenly over the budget."""
    validate_every_s: Positive | None = option(None, added_later=True)  # noqa: RUF009
    """Seconds of training from one validation to the next, in place of `validations`: the same
    cadence for learners whose steps cost differently. The end is validated too."""
    val_episodes: Count = 200
    val_n_way: Count = 5
    val_n_shot: Count = 5
    val_n_query: Count = 15
    select: Literal["best", "last"] = "best"
    """Which weights are kept: those of the best validation, or the last ones."""

    def __post_init__(self) -> None:
        if [share for share, _ in self.image_sizes] != sorted(dict(self.image_sizes)):
            raise ValueError("image_sizes: each share must be larger than the one before")
        if self.select == "best" and not (self.validations or self.validate_every_s):
            raise ValueError("select = 'best' needs validations")
        if self.convolutions == "winograd" and (self.precision != "fp32" or self.compile):
            raise ValueError("convolutions = 'winograd' needs precision = 'fp32', not compiled")

    def edge_at(self, progress: float, full: int) -> int:
        """Edge in pixels of the training images at this share of the budget; `full` is theirs."""
        return next((edge for until, edge in self.image_sizes if progress < until), full)

    @property
    def train_shape(self) -> EpisodeShape:
        """The shape of a training episode."""
        return EpisodeShape(self.n_way, self.n_shot, self.n_query)

    @property
    def val_scoring(self) -> Scoring:
        """The validation episodes, the same for every training on a data set."""
        return Scoring(self.val_n_way, self.val_n_shot, self.val_n_query, self.val_episodes)


@dataclass(frozen=True)
class Training:
    """What is trained. `learner_options` and `backbone_options` are the frozen `Config` values."""

    dataset: str
    backbone: str
    backbone_options: Any
    learner: str
    learner_options: Any
    recipe: Recipe
    seed: int

    @property
    def id(self) -> str:
        """Readable name with a short hash of the configuration, but for test-only options."""
        digest = _short_hash(self.without_test_options)
        return f"{self.dataset}-{self.backbone}-{self.learner}-s{self.seed}-{digest}"

    @property
    def without_test_options(self) -> "Training":
        """The same with the test-only options at their defaults, as every training validates."""
        defaults = {
            f.name: f.default for f in fields(self.learner_options) if f.metadata.get("test_only")
        }
        return replace(self, learner_options=replace(self.learner_options, **defaults))


@dataclass(frozen=True)
class Cell:
    """A training scored at one episode shape: one row of a table."""

    benchmark: str
    training: Training
    scoring: Scoring
    label: str = field(default="", compare=False)
    """What tells this row from others of the same learner and backbone, in tables."""
    target: float | None = field(default=None, compare=False)
    """The validation accuracy (0..1) to which tables give the time. It changes no training."""
    origins: Origins = field(default_factory=dict, compare=False)
    """For each configuration key, where its value came from: default, the file, --set."""

    @property
    def scored_on(self) -> str:
        """The data set whose test classes are scored."""
        return self.scoring.dataset or self.training.dataset

    @property
    def is_cross_domain(self) -> bool:
        """Whether it is scored on another data set than it was trained on."""
        return self.scored_on != self.training.dataset

    @property
    def id(self) -> str:
        """`<dataset>-<backbone>-<learner>-<n>w<k>s-s<seed>-<hash>`.

        Where it is scored on another data set: `<dataset>-to-<data set scored on>-...`.
        """
        t, s = self.training, self.scoring
        digest = _short_hash((t, s))
        data = f"{t.dataset}-to-{s.dataset}" if self.is_cross_domain else t.dataset
        return f"{data}-{t.backbone}-{t.learner}-{s.n_way}w{s.n_shot}s-s{t.seed}-{digest}"

    def resolved(self) -> dict[str, Any]:
        """The whole configuration as plain values, as JSON gives them back."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del values["origins"]
        return values


@dataclass(frozen=True)
class OptionClasses:
    """The `Config` classes of every known learner and backbone, handed in from above."""

    learners: Mapping[str, type]
    backbones: Mapping[str, type]


def load_benchmark(
    name: str,
    text: str,
    options: OptionClasses,
    settings: Sequence[str] = (),
    learner: str | None = None,
) -> list[Cell]:
    """The cells of a benchmark file, in its order.

    `[defaults]` holds keys that every `[[training]]` takes over unless it says otherwise; a
    training's `dataset` and `seeds` and its scoring's `n_shot` may be lists, one cell for each
    combination. `targets` is a table: data set -> validation accuracy to reach.
    `settings` are `key=value` overrides (dotted keys, TOML values) of every training. With
    `learner`, only its trainings are read, so that settings may be its own options; where the file
    has none, `[defaults]` and the settings alone make one.

    Raises UserError for text that is not TOML, unknown keys and values out of range.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name}: not a TOML file: {error}") from None
    _refuse_unknown_keys(document, {"description", "defaults", "training"}, name)
    defaults, entries = document.get("defaults", {}), document.get("training", [])
    if not isinstance(defaults, dict) or not _is_list_of_tables(entries):
        raise UserError(f"{name}: expected a [defaults] table and a list of [[training]] tables")
    if learner is not None:
        named = [e for e in entries if {**defaults, **e}.get("learner") == learner]
        entries = named or [{"learner": learner}]
    if not entries:
        raise UserError(f"{name}: no [[training]] in the file")
    overrides = _parse_settings(settings)
    cells: list[Cell] = []
    for entry in entries:
        merged, origins = _merge(
            (defaults, f"{name} [defaults]"),
            (entry, f"{name} [[training]]"),
            (overrides, "--set"),
        )
        cells.extend(_expand(name, merged, origins, options))
    _refuse_duplicates(name, cells)
    return cells


def read_options(cls: type[T], settings: Sequence[str], where: str) -> T:
    """A frozen dataclass of options from `key=value` settings.

    Raises UserError for unknown keys and values out of range.
    """
    return _build(cls, _parse_settings(settings), where)


def _expand(
    name: str, entry: dict[str, Any], origins: Origins, options: OptionClasses
) -> Iterator[Cell]:
    known = {"dataset", "backbone", "backbone_options", "learner", "learner_options"}
    _refuse_unknown_keys(entry, known | {"recipe", "scoring", "seeds", "label", "targets"}, name)
    for key in ("backbone", "learner"):
        if not isinstance(entry.get(key), str):
            raise UserError(f'{name}: a [[training]] needs `{key} = "..."`')
    where = f"{name}, {entry['learner']}"
    targets = _targets(entry, where)
    for dataset in _datasets(entry, name):
        for training in _trainings(dataset, entry, options, where):
            for scoring in _scorings(dataset, entry, where):
                label, target = str(entry.get("label", "")), targets.get(dataset)
                cell = Cell(name, training, scoring, label, target)
                yield replace(cell, origins=_origins(cell.resolved(), origins))


def _datasets(entry: Mapping[str, Any], name: str) -> list[str]:
    names = _as_list(entry.get("dataset", []))
    if not names or not all(isinstance(dataset, str) for dataset in names):
        raise UserError(f'{name}: a [[training]] needs `dataset = "..."`, or a list of names')
    return names


def _targets(entry: Mapping[str, Any], where: str) -> dict[str, float]:
    """Validation accuracies to reach, by data set; those of other data sets than the entry's stay
    unused, since `[defaults]` may name them for all.
    """
    accuracies = TypeAdapter(dict[str, Share])
    try:
        return accuracies.validate_python(entry.get("targets", {}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, ("targets", *first["loc"])))
        raise UserError(f"{where}: {key}: {first['msg']}") from None


def _trainings(
    dataset: str, entry: Mapping[str, Any], options: OptionClasses, where: str
) -> Iterator[Training]:
    backbone, learner = entry["backbone"], entry["learner"]
    training = Training(
        dataset=dataset,
        backbone=backbone,
        backbone_options=_build(
            _lookup("backbone", backbone, options.backbones),
            entry.get("backbone_options", {}),
            f"{where}: backbone_options",
        ),
        learner=learner,
        learner_options=_build(
            _lookup("learner", learner, options.learners),
            entry.get("learner_options", {}),
            f"{where}: learner_options",
        ),
        recipe=_build(Recipe, entry.get("recipe", {}), f"{where}: recipe"),
        seed=0,
    )
    for seed in _as_list(entry.get("seeds", 0)):
        if not isinstance(seed, int) or seed < 0:
            raise UserError(f"{where}: seeds are whole numbers from 0, not {seed!r}")
        yield replace(training, seed=seed)


def _scorings(dataset: str, entry: Mapping[str, Any], where: str) -> Iterator[Scoring]:
    scoring = entry.get("scoring", {})
    _refuse_unknown_keys(scoring, {f.name for f in fields(Scoring)}, f"{where}: scoring")
    for n_shot in _as_list(scoring.get("n_shot", Scoring.n_shot)):
        score = _build(Scoring, {**scoring, "n_shot": n_shot}, f"{where}: scoring")
        # The training's own data set is the default: named or not, it is the same cell.
        yield replace(score, dataset=None) if score.dataset == dataset else score


def _build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A frozen dataclass from TOML values, with types and ranges checked."""
    _refuse_unknown_keys(values, {f.name for f in fields(cls)}, where)  # type: ignore[arg-type]
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}{'.' + key if key else ''}: {first['msg']}") from None


def _refuse_unknown_keys(values: object, known: set[str], where: str) -> None:
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: expected a table of keys, not {values!r}")
    for key in values:
        if key not in known:
            error = unknown_name("key", key, known)
            raise UserError(f"{where}: {error}")


def _refuse_duplicates(name: str, cells: Sequence[Cell]) -> None:
    seen = set()
    for cell in cells:
        if cell.id in seen:
            raise UserError(f"{name}: the cell {cell.id} stands in the file twice")
        seen.add(cell.id)


def _lookup(kind: str, name: str, classes: Mapping[str, type]) -> type:
    if name not in classes:
        raise unknown_name(kind, name, classes)
    return classes[name]


def _parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`recipe.lr=0.1` to nested tables. A value that is not TOML is taken as a string."""
    result: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {setting}: expected key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table = result
        *path, last = key.strip().split(".")
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise UserError(f"--set {setting}: {part} is a value, not a table")
        table[last] = value
    return result


def _merge(
    *layers: tuple[Mapping[str, Any], str],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Later layers over earlier ones, table by table; and which layer gave each dotted key."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def lay(target: dict[str, Any], layer: Mapping[str, Any], origin: str, prefix: str) -> None:
        for key, value in layer.items():
            if isinstance(value, Mapping):
                below = target.setdefault(key, {})
                if not isinstance(below, dict):
                    raise UserError(f"{origin}: {prefix}{key} is a value, not a table")
                lay(below, value, origin, f"{prefix}{key}.")
            else:
                target[key] = value
                origins[prefix + key] = origin

    for layer, origin in layers:
        lay(merged, layer, origin, "")
    return merged, origins


def _origins(resolved: Mapping[str, Any], given: Origins) -> dict[str, str]:
    flat = {**resolved["training"], "scoring": resolved["scoring"]}
    flat["seeds"] = flat.pop("seed")
    return {key: given.get(key, "default") for key in _dotted(flat)}


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _short_hash(value: Any) -> str:
    return sha256(json.dumps(_identity(value), sort_keys=True).encode()).hexdigest()[:8]


def _identity(value: Any) -> Any:
    """What of a configuration makes its name: all of it, but for later options at their default."""
    if isinstance(value, tuple | list):
        return [_identity(item) for item in value]
    if not is_dataclass(value):
        return value
    return {
        f.name: _identity(getattr(value, f.name))
        for f in fields(value)
        if not (f.metadata.get("added_later") and getattr(value, f.name) == f.default)
    }
