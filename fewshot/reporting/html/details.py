"""The details behind each score: configuration, protocol, budget and provenance of its cells."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fewshot.reporting.html.headline import anchor
from fewshot.results.comparison import row_name
from fewshot.results.records import RunRecord
from fewshot.results.rows import Score, TableRow, column_names
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
"""The parts of run.json that have a heading of their own; the others stand under the cell."""


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
    """The whole run.json of one cell. settings: those that someone set stand first."""

    cell: str
    groups: Mapping[str, Sequence[Fact]]
    settings: Sequence[Setting]


@dataclass(frozen=True)
class ScoreDetails:
    """The details of a score. intervals: its mean and interval over each kind of repetition."""

    anchor: str
    title: str
    intervals: Mapping[str, str]
    cells: Sequence[CellDetails]


def score_details(rows: Sequence[TableRow]) -> list[ScoreDetails]:
    """Return the details of each score of the table, in its order."""
    columns = column_names(rows)
    return [
        ScoreDetails(
            anchor=anchor(i, j),
            title=f"{row_name(row)} on {column}",
            intervals=_intervals(row.scores[column]),
            cells=[_cell_details(cell.run) for cell in row.scores[column].cells],
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


def _cell_details(run: RunRecord) -> CellDetails:
    told = run.json
    own = {key: told[key] for key in told if key not in (*GROUPS, "config", "origins", "schema")}
    groups = {"Cell": list(_flat(own))}
    groups |= {title: list(_flat(told[key])) for key, title in GROUPS.items() if key in told}
    return CellDetails(run.cell, groups, _settings(run))


def _settings(run: RunRecord) -> list[Setting]:
    """Return the configuration by the names of its origins: a training's keys have no prefix."""
    config = {**run.json["config"]["training"], **run.json["config"]}
    del config["training"]
    found = [
        Setting(key, value, run.origins.get("seeds" if key == "seed" else key, ""))
        for key, value in _flat(config)
    ]
    return sorted(found, key=lambda setting: setting.origin in (DEFAULT, ""))


def _flat(value: object, name: str = "") -> Iterator[Fact]:
    """Yield the leaves of nested records, by their path."""
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
