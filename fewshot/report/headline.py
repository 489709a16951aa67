"""The headline table: rows learner x backbone, columns data set x shots, and what each row cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewshot.compare import SIGNIFICANCE, unbeaten
from fewshot.plots.points import provenance
from fewshot.report.words import Entry, count, duration, letter, number, percent
from fewshot.results import CellResult
from fewshot.rows import PROTOCOL, Row, column_names, protocol_words

COSTS = {
    "training": "wall-clock time of one training, mean over seeds",
    "images seen": "in one training, mean over seeds",
    "ms/episode": "to adapt and predict one test episode",
    "MB, training": "peak memory of the process, or of the GPU where there is one",
    "MB, test": "peak memory of the process, or of the GPU where there is one",
    "seeds": "training seeds",
}


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
    """One row of the table; letter: of its protocol. costs: as in `COSTS`."""

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


def headline_table(cells: Sequence[CellResult], rows: Sequence[Row]) -> Headline:
    """The table of these rows, which are those of `cells`."""
    columns, letters = column_names(rows), protocol_letters(rows)
    best = unbeaten(rows)
    by_id = {cell.run["cell"]: cell for cell in cells}
    lines = tuple(
        Line(
            name=row.name,
            backbone=row.backbone,
            transductive=row.transductive,
            letter=letters[i],
            scores=tuple(_score(i, j, row, columns, best) for j in range(len(columns))),
            costs=_costs(row, [by_id[cell_id] for cell_id in row.cell_ids]),
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
        notes=_notes(cells, any(best.values())),
    )


def protocol_letters(rows: Sequence[Row]) -> list[str]:
    """For each row the letter of its protocol, as `fewshot table` gives them."""
    words = [protocol_words(protocol_of(row), list(PROTOCOL)) for row in rows]
    distinct = list(dict.fromkeys(words))
    return [letter(distinct.index(found)) for found in words]


def protocol_of(row: Row) -> Mapping[str, Any]:
    """The protocol of a row: that of its first column."""
    return next(iter(row.scores.values())).protocol


def anchor(row: int, column: int) -> str:
    """The id of the details of a score, by its places."""
    return f"score-{row}-{column}"


def _score(
    i: int, j: int, row: Row, columns: Sequence[str], best: Mapping[tuple[int, str], bool]
) -> ScoreEntry:
    column = columns[j]
    if column not in row.scores:
        return ScoreEntry(number(None, ""), False, None)
    interval = row.scores[column].interval()
    return ScoreEntry(percent(*interval), best.get((i, column), False), anchor(i, j))


def _costs(row: Row, cells: Sequence[CellResult]) -> tuple[Entry, ...]:
    runs = [cell.run for cell in cells]
    return (
        duration(row.train_s),
        count(row.images),
        number(row.adapt_ms, f"{row.adapt_ms:.2f}"),
        count(_peak_mb([run["training"] for run in runs])),
        count(_peak_mb([run.get("scoring") for run in runs])),
        count(row.seeds),
    )


def _peak_mb(records: Sequence[Mapping[str, Any] | None]) -> int | None:
    """The largest of those that say; early cells do not."""
    found = [record.get("peak_memory_mb") for record in records if record]
    return max((mb for mb in found if mb is not None), default=None)


def _footnotes(rows: Sequence[Row], letters: Sequence[str]) -> tuple[str, dict[str, str]]:
    """What all protocols share, and what each letter stands for beyond it."""
    by_letter = {mark: protocol_of(row) for mark, row in zip(letters, rows, strict=True)}
    first = next(iter(by_letter.values()))
    shared = [key for key in PROTOCOL if all(p[key] == first[key] for p in by_letter.values())]
    own = [key for key in PROTOCOL if key not in shared]
    apart = {mark: protocol_words(p, own) for mark, p in by_letter.items()}
    return protocol_words(first, shared), apart


def _notes(cells: Sequence[CellResult], bold: bool) -> tuple[str, ...]:
    """What the numbers are, on what machines they were measured and at which commits."""
    scorings = {
        f"{s['episodes']:,} episodes of {s['n_query']} queries a class"
        for s in (cell.run["config"]["scoring"] for cell in cells)
    }
    notes = [
        "Accuracy in %, ± half-width of the 95 % interval over test episodes (not over training "
        f"seeds): {'; '.join(sorted(scorings))}. A dash is a hole: that cell was not run."
    ]
    if bold:
        notes.append(
            "Bold and *: not beaten by the best row of the same protocol (paired permutation test "
            f"over the same episodes, {100 * SIGNIFICANCE:g} %, Holm's correction over the table)."
        )
    return (*notes, provenance(cells))
