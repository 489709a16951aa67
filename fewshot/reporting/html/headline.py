"""The headline table: rows learner x backbone, columns data set x shots, and what each row cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fewshot.reporting.tables.columns import SCORES, SEEDS, columns_of
from fewshot.reporting.tables.costs import Value
from fewshot.reporting.tables.layout import Layout, lay_out
from fewshot.reporting.tables.lines import Column, Line, lines_of
from fewshot.reporting.tables.notes import (
    accuracy_notes,
    commit_note,
    protocols_in_words,
    scoring_note,
    timing_notes,
)
from fewshot.results.comparison import unbeaten
from fewshot.results.rows import TableRow

COSTS = ("training", "images", "ms/episode", "memory", SEEDS)
"""The columns beside the scores, by their names in `fewshot table`."""
OF_MEMORY = "peak memory of the process, or of the GPU where there is one"
HEADINGS = {
    "training": "wall-clock time of one training, mean over seeds",
    "images seen": "in one training, mean over seeds",
    "ms/episode": "to adapt and predict one test episode, of the most shots",
    "MB, training": OF_MEMORY,
    "MB, test": OF_MEMORY,
    SEEDS: "training seeds",
}
"""The headings of `COSTS`, in their order, and what they mean."""


@dataclass(frozen=True)
class ScoreEntry:
    """A score in the table. unbeaten: whether the best of its protocol does not beat it.

    anchor: the id of its details; None for a hole.
    """

    entry: Value
    unbeaten: bool
    anchor: str | None


@dataclass(frozen=True)
class HeadlineLine:
    """A table row as the page shows it. letter: its protocol's. costs: as in `HEADINGS`."""

    row: TableRow
    letter: str
    scores: Sequence[ScoreEntry]
    costs: Sequence[Value]


@dataclass(frozen=True)
class Headline:
    """The table and its footnotes. protocols: in words by letter, beyond what all share."""

    columns: Sequence[str]
    lines: Sequence[HeadlineLine]
    backbones: Sequence[str]
    shared: str
    protocols: Mapping[str, str]
    holes: int
    notes: Sequence[str]


def headline_table(rows: Sequence[TableRow]) -> Headline:
    """Return the table of these rows, as `fewshot table` has it, but for its columns of costs.

    Each cost has one column, over all data sets.
    """
    lines = [replace(line, costs={"": line.row.costs}) for line in lines_of(rows, by_dataset=False)]
    scores = columns_of(SCORES, lines)
    columns = [*scores, *(column for name in COSTS for column in columns_of(name, lines))]
    layout = lay_out(columns, lines, unbeaten(rows))
    cells = [cell for row in rows for cell in row.cells]
    shared, protocols = protocols_in_words(lines)
    shown = [_line(line, columns, layout, len(scores)) for line in lines]
    return Headline(
        columns=layout.header[: len(scores)],
        lines=shown,
        backbones=sorted({row.backbone for row in rows}),
        shared=shared,
        protocols=protocols,
        holes=sum(score.anchor is None for line in shown for score in line.scores),
        notes=[
            *accuracy_notes("episodes", layout.has_best),
            f"{scoring_note(cells)} A dash is a hole: that cell was not run.",
            *timing_notes(layout),
            commit_note(cells),
        ],
    )


def anchor(row: int, column: int) -> str:
    """Return the id of the details of a score, by the places of its row and column."""
    return f"score-{row}-{column}"


def _line(line: Line, columns: Sequence[Column], layout: Layout, n_scores: int) -> HeadlineLine:
    """Return a line of the page, whose first columns are scores."""
    i = line.place
    texts = zip(columns, layout.lines[i], strict=True)
    values = [column.values[i]._replace(text=text) for column, text in texts]
    scores = []
    for j, value in enumerate(values[:n_scores]):
        style = layout.styles.get((i, j))
        place = None if style == "hole" else anchor(i, j)
        scores.append(ScoreEntry(value, style == "best", place))
    return HeadlineLine(line.row, line.protocol, scores, values[n_scores:])
