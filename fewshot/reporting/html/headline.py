"""The headline table: rows learner x backbone, columns data set x shots, and what each row cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewshot.reporting.tables import costs
from fewshot.reporting.tables.costs import Costs, Value, at_shape, largest_shape
from fewshot.reporting.tables.layout import machine_letters, marked
from fewshot.reporting.tables.notes import accuracy_notes, commit_note, scoring_note, timing_notes
from fewshot.results.comparison import unbeaten
from fewshot.results.files import CellResult
from fewshot.results.protocol import protocol_words
from fewshot.results.rows import (
    TableRow,
    column_names,
    protocol_differences,
    protocol_letters,
    protocol_of,
)
from fewshot.results.timing import Machine, Timing
from fewshot.units import Entry, number, percent

OF_EPISODES = "ms/episode"
OF_MEMORY = "peak memory of the process, or of the GPU where there is one"
COSTS = {
    "training": (costs.training, "wall-clock time of one training, mean over seeds"),
    "images seen": (costs.images, "in one training, mean over seeds"),
    OF_EPISODES: (costs.episode_ms, "to adapt and predict one test episode, of the most shots"),
    "MB, training": (costs.training_mb, OF_MEMORY),
    "MB, test": (costs.scoring_mb, OF_MEMORY),
}
"""Heading -> what stands below it, and what that is."""
SEEDS = "seeds"
HEADINGS = {**{name: note for name, (_, note) in COSTS.items()}, SEEDS: "training seeds"}


@dataclass(frozen=True)
class ScoreEntry:
    """A score in the table. unbeaten: not beaten by the best of its protocol. anchor: its details;
    None for a hole.
    """

    entry: Entry
    unbeaten: bool
    anchor: str | None


@dataclass(frozen=True)
class Line:
    """One row of the table; letter: of its protocol. costs: as in `HEADINGS`."""

    name: str
    backbone: str
    transductive: bool
    letter: str
    scores: tuple[ScoreEntry, ...]
    costs: tuple[Entry, ...]


@dataclass(frozen=True)
class Headline:
    """The table and its footnotes. protocols: what is behind each letter, beyond what is shared."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    backbones: tuple[str, ...]
    shared: str
    protocols: Mapping[str, str]
    holes: int
    notes: tuple[str, ...]


def headline_table(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> Headline:
    """The table of these rows, which are those of `cells`."""
    columns, letters = column_names(rows), protocol_letters(rows)
    best = unbeaten(rows)
    by_id = {cell.run["cell"]: cell for cell in cells}
    behind = [Costs(tuple(by_id[cell_id] for cell_id in row.cell_ids)) for row in rows]
    shape = largest_shape(behind)
    values = [_costs(own, shape) for own in behind]
    machines = machine_letters(_timings(values))
    lines = tuple(
        Line(
            name=row.name,
            backbone=row.backbone,
            transductive=row.transductive,
            letter=letters[i],
            scores=tuple(_score(i, j, row, columns, best) for j in range(len(columns))),
            costs=(
                *(_entry(value, machines) for value in values[i]),
                Entry(row.seeds_behind(row.scores), row.seeds),
            ),
        )
        for i, row in enumerate(rows)
    )
    shared, protocols = _footnotes(rows, letters)
    return Headline(
        columns=tuple(columns),
        lines=lines,
        backbones=tuple(sorted({row.backbone for row in rows})),
        shared=shared,
        protocols=protocols,
        holes=sum(score.anchor is None for line in lines for score in line.scores),
        notes=_notes(cells, values, any(best.values())),
    )


def anchor(row: int, column: int) -> str:
    """The id of the details of a score, by its places."""
    return f"score-{row}-{column}"


def _score(
    i: int, j: int, row: TableRow, columns: Sequence[str], best: Mapping[tuple[int, str], bool]
) -> ScoreEntry:
    column = columns[j]
    if column not in row.scores:
        return ScoreEntry(number(None, ""), False, None)
    interval = row.scores[column].interval()
    return ScoreEntry(percent(*interval), best.get((i, column), False), anchor(i, j))


def _costs(behind: Costs, shape: tuple[int, int] | None) -> list[Value]:
    of_episodes = at_shape(behind, shape)
    return [
        value(of_episodes if name == OF_EPISODES else behind) for name, (value, _) in COSTS.items()
    ]


def _entry(value: Value, machines: Mapping[Machine, str]) -> Entry:
    """As in `fewshot table`: a time says on which machine it was taken, and if it was disturbed."""
    key = value.key if isinstance(value.key, int | float) else None
    return Entry(marked(value, machines), key)


def _timings(values: Sequence[Sequence[Value]]) -> list[Timing]:
    return [value.timing for line in values for value in line if value.timing is not None]


def _footnotes(rows: Sequence[TableRow], letters: Sequence[str]) -> tuple[str, dict[str, str]]:
    """What all protocols share, and what each letter stands for beyond it."""
    by_letter = {mark: protocol_of(row) for mark, row in zip(letters, rows, strict=True)}
    shared, own = protocol_differences(rows)
    apart = {mark: protocol_words(p, own) for mark, p in by_letter.items()}
    return protocol_words(next(iter(by_letter.values())), shared), apart


def _notes(
    cells: Sequence[CellResult], values: Sequence[Sequence[Value]], bold: bool
) -> tuple[str, ...]:
    """What the numbers are, on what machines they were measured and at which commits."""
    timings = _timings(values)
    has_parts = any(value.is_part for line in values for value in line)
    return (
        *accuracy_notes("episodes", bold),
        f"{scoring_note(cells)} A dash is a hole: that cell was not run.",
        *timing_notes(machine_letters(timings), timings, has_parts),
        commit_note(cells),
    )
