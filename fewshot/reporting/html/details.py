"""The details behind each score: configuration, protocol, budget and provenance of its cells."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fewshot.reporting.html.headline import anchor
from fewshot.results.records import RunRecord
from fewshot.results.rows import Over, TableRow, column_names
from fewshot.units import percent

DEFAULT = "default"
INTERVALS: dict[str, Over] = {
    "over test episodes": "episodes",
    "over training seeds": "seeds",
    "over images (episodes that share none)": "data",
}
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


class Setting(NamedTuple):
    """A value of the resolved configuration, and where it came from ("" where that is not kept)."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True)
class CellDetails:
    """The whole run.json of one cell, in groups. settings: those that someone set stand first."""

    cell: str
    groups: Mapping[str, Mapping[str, str]]
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
            title=f"{row.full_name} on {column}",
            intervals={
                words: percent(*row.scores[column].interval(over)).text
                for words, over in INTERVALS.items()
            },
            cells=[_cell_details(cell.run) for cell in row.scores[column].cells],
        )
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
        if column in row.scores
    ]


def _cell_details(run: RunRecord) -> CellDetails:
    told = run.json
    own = {key: told[key] for key in told if key not in (*GROUPS, "config", "origins", "schema")}
    groups = {"Cell": dict(_flat(own))}
    groups |= {title: dict(_flat(told[key])) for key, title in GROUPS.items() if key in told}
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


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested records, by their path."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return {"None": "none", "{}": "none", "True": "yes", "False": "no"}.get(str(value), str(value))
