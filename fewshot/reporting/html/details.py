"""What is behind each score: configuration, protocol, budget and provenance of its cells."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fewshot.reporting.html.headline import anchor
from fewshot.results.comparison import row_name
from fewshot.results.files import CellResult
from fewshot.results.rows import Score, TableRow, column_names, column_of
from fewshot.units import percent

DEFAULT = "default"
GROUPS = {
    "protocol": "Protocol",
    "training": "Training: budget spent, machine and commit",
    "scoring": "Test",
    "dataset": "Images",
    "trained_on": "Images trained on",
    "host": "Machine of the test",
    "git": "Commit of the test",
}
"""Records of run.json that have a heading of their own; the others stand under the cell."""


class Fact(NamedTuple):
    """A value of run.json, by its name there."""

    key: str
    value: str


class Setting(NamedTuple):
    """A value of the resolved configuration, and where it came from ("" where that is not kept)."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True)
class CellDetails:
    """All that run.json says of one cell. settings: those that someone set stand first."""

    cell: str
    groups: Mapping[str, Sequence[Fact]]
    settings: Sequence[Setting]


@dataclass(frozen=True)
class ScoreDetails:
    """What is behind a score. intervals: its mean and interval over each kind of repetition."""

    anchor: str
    title: str
    intervals: Mapping[str, str]
    cells: Sequence[CellDetails]


def score_details(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> list[ScoreDetails]:
    """For each score of the table, in its order."""
    by_id = {cell.run["cell"]: (column_of(cell), cell) for cell in cells}
    columns = column_names(rows)
    return [
        ScoreDetails(
            anchor=anchor(i, j),
            title=f"{row_name(row)} on {column}",
            intervals=_intervals(row.scores[column]),
            cells=[
                _cell_details(cell)
                for of_cell, cell in (by_id[cell_id] for cell_id in row.cell_ids)
                if of_cell == column
            ],
        )
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
        if column in row.scores
    ]


def _intervals(score: Score) -> dict[str, str]:
    return {
        "over test episodes": percent(*score.interval("episodes")).text,
        "over training seeds": percent(*score.interval("seeds")).text,
        "over images (episodes that share none)": percent(*score.interval("data")).text,
    }


def _cell_details(cell: CellResult) -> CellDetails:
    run = cell.run
    own = {key: run[key] for key in run if key not in (*GROUPS, "config", "origins", "schema")}
    groups = {"Cell": list(_flat(own))}
    groups |= {title: list(_flat(run[key])) for key, title in GROUPS.items() if key in run}
    return CellDetails(run["cell"], groups, _settings(run))


def _settings(run: Mapping[str, Any]) -> list[Setting]:
    """Names are those of origins: what belongs to the training carries no prefix."""
    origins = run.get("origins", {})
    config = {**run["config"]["training"], **run["config"]}
    del config["training"]
    found = [
        Setting(key, value, origins.get("seeds" if key == "seed" else key, ""))
        for key, value in _flat(config)
    ]
    return sorted(found, key=lambda setting: setting.origin in (DEFAULT, ""))


def _flat(value: object, name: str = "") -> Iterator[Fact]:
    """The leaves of nested records, by their path."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield Fact(name, _shown(value))


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return {"None": "none", "{}": "none", "True": "yes", "False": "no"}.get(str(value), str(value))
