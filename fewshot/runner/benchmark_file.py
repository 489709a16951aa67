"""A benchmark file (TOML) to frozen cells with stable ids; unknown keys are errors.

A *training* is data set x backbone x learner x recipe x seed; a *cell* is a training scored at
one episode shape. Both are named by a hash of their resolved configuration, defaults included:
whatever changes the numbers changes the name.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from fewshot.backbones import BACKBONES
from fewshot.errors import UserError, unknown_name
from fewshot.harness.recipe import Recipe, Scoring
from fewshot.learners import LEARNERS
from fewshot.learners.registry import Learners
from fewshot.options import Share
from fewshot.runner.cells import Cell, Origins, Training

T = TypeVar("T")


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


def shipped_benchmarks() -> dict[str, str]:
    """The benchmark files that come with the suite: name -> TOML text."""
    installed = resources.files("fewshot") / "benchmarks"
    folder = installed if installed.is_dir() else Path(__file__).parents[2] / "benchmarks"
    files = [f for f in folder.iterdir() if f.name.endswith(".toml")]
    return {f.name.removesuffix(".toml"): f.read_text() for f in sorted(files, key=_name)}


def _name(file: Any) -> str:
    return str(file.name)


def load_cells(
    benchmark: str,
    settings: Sequence[str] = (),
    learner: str | None = None,
    learners: Learners = LEARNERS,
) -> list[Cell]:
    """The cells of a shipped benchmark or of a TOML file, those of one learner if one is named.

    learners: every one that the file may name, by name.
    Raises UserError for names that nobody knows, and whatever `load_benchmark` finds.
    """
    if learner is not None and learner not in learners:
        raise unknown_name("learner", learner, learners)
    shipped = shipped_benchmarks()
    if benchmark in shipped:
        name, text = benchmark, shipped[benchmark]
    elif benchmark.endswith(".toml"):
        try:
            name, text = Path(benchmark).stem, Path(benchmark).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{benchmark}: cannot be read: {error}") from None
    else:
        raise unknown_name("benchmark", benchmark, shipped)
    options = OptionClasses(
        learners={name: cls.Config for name, cls in learners.items()},
        backbones={name: cls.Config for name, cls in BACKBONES.items()},
    )
    return load_benchmark(name, text, options, settings, learner)
