"""A benchmark file (TOML) becomes frozen cells with stable ids; unknown keys are errors.

A *training* is data set x backbone x learner x recipe x seed; a *cell* is a training scored at
one episode shape. Both are named by a hash of their resolved configuration, defaults included:
whatever changes the numbers changes the name.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from fewshot.errors import UserError, unknown_name
from fewshot.harness.recipe import Recipe, Scoring
from fewshot.options import Share
from fewshot.runner.cells import Cell, Origins, Training
from fewshot.runner.settings import Layer, Settings, merge, origins_of, parse_settings

T = TypeVar("T")


Configs = Mapping[Literal["learner", "backbone"], Mapping[str, type]]
"""The `Config` classes of every learner and of every backbone by name, handed in from above."""


def find_benchmark(benchmark: Path | str) -> tuple[str, str, Path]:
    """Return name, text and folder of a shipped benchmark or of a TOML file.

    Raises UserError for a name that nobody knows and a file that cannot be read.
    """
    benchmark = str(benchmark)
    shipped = shipped_benchmarks()
    if benchmark in shipped:
        return benchmark, shipped[benchmark], Path()
    if not benchmark.endswith(".toml"):
        raise unknown_name("benchmark", benchmark, shipped)
    file = Path(benchmark)
    try:
        return file.stem, file.read_text(), file.parent
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{benchmark}: cannot be read: {error}") from None


def parse_document(name: str, text: str) -> dict[str, Any]:
    """Return the tables of a benchmark file. Raises UserError for text that is not one."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name}: not a TOML file: {error}") from None
    _refuse_unknown_keys(document, {"description", "defaults", "training"}, name)
    defaults, entries = document.get("defaults", {}), document.get("training", [])
    if not isinstance(defaults, dict) or not _is_list_of_tables(entries):
        raise UserError(f"{name}: expected a [defaults] table and a list of [[training]] tables")
    return document


def parse_benchmark(
    name: str,
    document: Mapping[str, Any],
    configs: Configs,
    overrides: Mapping[str, Any],
    learner: str | None = None,
    backbone: str | None = None,
) -> list[Cell]:
    """Return the cells of a benchmark file, in the order of its tables `document`.

    `[defaults]` holds keys that every `[[training]]` takes over unless it says otherwise; a
    training's `dataset` and `seeds` and its scoring's `n_shot` may be lists, one cell for each
    combination. `targets` is a table: data set -> validation accuracy to reach.
    `overrides` are such tables too, over every training. With `learner`, only its trainings are
    read, so that overrides may be its own options; where the file has none, `[defaults]` and the
    overrides alone make one. With `backbone`, only trainings on it are read; where the file has
    none, all are, on this one with its default options.

    Raises UserError for unknown names and keys, and for values out of range.
    """
    defaults, entries = document.get("defaults", {}), document.get("training", [])

    def naming(key: str, wanted: str) -> list[dict[str, Any]]:
        return [entry for entry in entries if {**defaults, **entry}.get(key) == wanted]

    if learner is not None:
        entries = naming("learner", learner) or [{"learner": learner}]
    on_backbone: Layer = {}, "--backbone"
    if backbone is not None and (named := naming("backbone", backbone)):
        entries = named
    elif backbone is not None:
        on_backbone = {"backbone": backbone}, "--backbone"
        defaults, *entries = (_without_backbone_options(each) for each in (defaults, *entries))
    if not entries:
        raise UserError(f"{name}: no [[training]] in the file")
    cells: list[Cell] = []
    for entry in entries:
        merged, origins = merge(
            (defaults, f"{name} [defaults]"),
            (entry, f"{name} [[training]]"),
            on_backbone,
            (overrides, "--set"),
        )
        cells.extend(_expand(name, merged, origins, configs))
    if on_backbone[0]:  # trainings that differed in it alone are one now
        cells = list({cell.id: cell for cell in cells}.values())
    for cell_id, times in Counter(cell.id for cell in cells).items():
        if times > 1:
            raise UserError(f"{name}: the cell {cell_id} stands in the file twice")
    return cells


def _without_backbone_options(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "backbone_options"}


def read_options(cls: type[T], settings: Settings, where: str) -> T:
    """Return a frozen dataclass of options from `key=value` settings.

    Raises UserError for unknown keys and values out of range.
    """
    return build_options(cls, parse_settings(settings), where)


def _expand(name: str, entry: dict[str, Any], origins: Origins, configs: Configs) -> Iterator[Cell]:
    known = {"dataset", "backbone", "backbone_options", "learner", "learner_options"}
    _refuse_unknown_keys(entry, known | {"recipe", "scoring", "seeds", "label", "targets"}, name)
    for key in ("backbone", "learner"):
        if not isinstance(entry.get(key), str):
            raise UserError(f'{name}: a [[training]] needs `{key} = "..."`')
    where = f"{name}, {entry['learner']}"
    # Of data sets that this entry has not, too: `[defaults]` may name them for all.
    targets = _checked(dict[str, Share], entry.get("targets", {}), f"{where}: targets")
    for dataset in _datasets(entry, name):
        for training in _trainings(dataset, entry, configs, where):
            for scoring in _scorings(dataset, entry, where):
                label, target = str(entry.get("label", "")), targets.get(dataset)
                cell = Cell(name, training, scoring, label, target)
                yield replace(cell, origins=origins_of(cell.resolved(), origins))


def _datasets(entry: Mapping[str, Any], name: str) -> list[str]:
    names = _as_list(entry.get("dataset", []))
    if not names or not all(isinstance(dataset, str) for dataset in names):
        raise UserError(f'{name}: a [[training]] needs `dataset = "..."`, or a list of names')
    return names


def _trainings(
    dataset: str, entry: Mapping[str, Any], configs: Configs, where: str
) -> Iterator[Training]:
    training = Training(
        dataset=dataset,
        backbone=entry["backbone"],
        backbone_options=_options("backbone", entry, configs["backbone"], where),
        learner=entry["learner"],
        learner_options=_options("learner", entry, configs["learner"], where),
        recipe=build_options(Recipe, entry.get("recipe", {}), f"{where}: recipe"),
        seed=0,
    )
    for seed in _as_list(entry.get("seeds", 0)):
        if not isinstance(seed, int) or seed < 0:
            raise UserError(f"{where}: seeds are whole numbers from 0, not {seed!r}")
        yield replace(training, seed=seed)


def _options(kind: str, entry: Mapping[str, Any], classes: Mapping[str, type], where: str) -> Any:
    key, name = f"{kind}_options", entry[kind]
    if name not in classes:
        raise unknown_name(kind, name, classes)
    return build_options(classes[name], entry.get(key, {}), f"{where}: {key}")


def _scorings(dataset: str, entry: Mapping[str, Any], where: str) -> Iterator[Scoring]:
    scoring = entry.get("scoring", {})
    _refuse_unknown_keys(scoring, {f.name for f in fields(Scoring)}, f"{where}: scoring")
    for n_shot in _as_list(scoring.get("n_shot", Scoring.n_shot)):
        score = build_options(Scoring, {**scoring, "n_shot": n_shot}, f"{where}: scoring")
        # The training's own data set is the default: named or not, it is the same cell.
        yield replace(score, dataset=None) if score.dataset == dataset else score


def build_options(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Return a frozen dataclass of these values, with types and ranges checked.

    Raises UserError for unknown keys and values out of range; `where` begins its words.
    """
    _refuse_unknown_keys(values, {f.name for f in fields(cls)}, where)  # type: ignore[arg-type]
    return _checked(cls, dict(values), where)


def _checked(kind: type[T], value: Any, where: str) -> T:
    """Return a TOML value as one of this type. Raises UserError for a wrong type or range."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{where}{'.' + key if key else ''}: {first['msg']}") from None


def _refuse_unknown_keys(values: object, known: set[str], where: str) -> None:
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: expected a table of keys, not {values!r}")
    for key in values:
        if key not in known:
            raise UserError(f"{where}: {unknown_name('key', key, known)}")


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def shipped_benchmarks() -> dict[str, str]:
    """Return the benchmark files that come with the suite: name -> TOML text."""
    installed = resources.files("fewshot") / "benchmarks"
    folder = installed if installed.is_dir() else Path(__file__).parents[2] / "benchmarks"
    files = sorted((f.name, f) for f in folder.iterdir() if f.name.endswith(".toml"))
    return {name.removesuffix(".toml"): file.read_text() for name, file in files}


def list_benchmarks() -> dict[str, str]:
    """Return each shipped benchmark's name with a line on it."""
    first_lines = {name: text.partition("\n")[0] for name, text in shipped_benchmarks().items()}
    return {n: line.lstrip("# ") if line[:1] == "#" else "" for n, line in first_lines.items()}
