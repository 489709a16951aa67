"""The headline table: rows learner x backbone, columns data set x shots, and what each row cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewshot.reporting.tables import costs
from fewshot.reporting.tables.costs import Value, largest_shape
from fewshot.reporting.tables.layout import machine_letters, marked
from fewshot.reporting.tables.notes import accuracy_notes, commit_note, scoring_note, timing_notes
from fewshot.results.comparison import unbeaten
from fewshot.results.protocol import protocol_words
from fewshot.results.records import Shape
from fewshot.results.rows import (
    TableRow,
    column_names,
    protocol_differences,
    protocol_letters,
    protocol_of,
)
from fewshot.results.timing import Costs, Machine, Timing
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
"""Heading -> the value below it, and its meaning."""
SEEDS = "seeds"
HEADINGS = {**{name: note for name, (_, note) in COSTS.items()}, SEEDS: "training seeds"}


@dataclass(frozen=True)
class ScoreEntry:
    """A score in the table. unbeaten: whether the best of its protocol does not beat it.

    anchor: the id of its details; None for a hole.
    """

    entry: Entry
    unbeaten: bool
    anchor: str | None


@dataclass(frozen=True)
class Line:
    """A table row as the page shows it. letter: its protocol's. costs: as in `HEADINGS`."""

    row: TableRow
    letter: str
    scores: tuple[ScoreEntry, ...]
    costs: tuple[Entry, ...]


@dataclass(frozen=True)
class Headline:
    """The table and its footnotes. protocols: in words by letter, beyond what all share."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    backbones: tuple[str, ...]
    shared: str
    protocols: Mapping[str, str]
    holes: int
    notes: tuple[str, ...]


def headline_table(rows: Sequence[TableRow]) -> Headline:
    """Return the table of these rows."""
    columns, letters = column_names(rows), protocol_letters(rows)
    best = unbeaten(rows)
    shape = largest_shape(row.costs for row in rows)
    values = [_costs(row.costs, shape) for row in rows]
    machines = machine_letters(_timings(values))
    lines = tuple(
        Line(
            row,
            letters[i],
            tuple(_score(i, j, row, columns, best) for j in range(len(columns))),
            (
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
        notes=_notes(rows, values, any(best.values())),
    )


def anchor(row: int, column: int) -> str:
    """Return the id of the details of a score, by the places of its row and column."""
    return f"score-{row}-{column}"


def _score(
    i: int, j: int, row: TableRow, columns: Sequence[str], best: Mapping[tuple[int, str], bool]
) -> ScoreEntry:
    column = columns[j]
    if column not in row.scores:
        return ScoreEntry(number(None, ""), False, None)
    interval = row.scores[column].interval()
    return ScoreEntry(percent(*interval), best.get((i, column), False), anchor(i, j))


def _costs(behind: Costs, shape: Shape | None) -> list[Value]:
    of_episodes = behind.at_shape(shape)
    return [
        value(of_episodes if name == OF_EPISODES else behind) for name, (value, _) in COSTS.items()
    ]


def _entry(value: Value, machines: Mapping[Machine, str]) -> Entry:
    """Return a value as `fewshot table` shows it: a time with its machine and its mark."""
    key = value.key if isinstance(value.key, int | float) else None
    return Entry(marked(value, machines), key)


def _timings(values: Sequence[Sequence[Value]]) -> list[Timing]:
    return [value.timing for line in values for value in line if value.timing is not None]


def _footnotes(rows: Sequence[TableRow], letters: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return in words what all protocols share, and what each letter stands for beyond it."""
    by_letter = {mark: protocol_of(row) for mark, row in zip(letters, rows, strict=True)}
    shared, own = protocol_differences(rows)
    apart = {mark: protocol_words(p, own) for mark, p in by_letter.items()}
    return protocol_words(next(iter(by_letter.values())), shared), apart


def _notes(
    rows: Sequence[TableRow], values: Sequence[Sequence[Value]], bold: bool
) -> tuple[str, ...]:
    """Return the sentences about the numbers, their machines and their commits."""
    cells = [cell for row in rows for cell in row.cells]
    timings = _timings(values)
    has_parts = any(value.is_part for line in values for value in line)
    return (
        *accuracy_notes("episodes", bold),
        f"{scoring_note(cells)} A dash is a hole: that cell was not run.",
        *timing_notes(machine_letters(timings), timings, has_parts),
        commit_note(cells),
    )
