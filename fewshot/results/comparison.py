"""Comparisons of table rows over the same episodes: they tell whether a difference is real.

Needs neither torch nor images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fewshot.errors import UserError
from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.rivals import (
    SIGNIFICANCE,
    Contrast,
    best_rivals,
    count_pairs,
    deciding_p,
    permutation_p,
)
from fewshot.results.rows import TableRow, column_names, table_rows
from fewshot.statistics.holm import holm
from fewshot.statistics.intervals import Interval, difference_of_means, mean_ci95
from fewshot.statistics.paired import Paired, paired_each


@dataclass(frozen=True)
class Comparison:
    """Table row `a` against row `b` in one column; differences are `a` less `b`, in fractions.

    refused: where their protocols differ, if that forbids a verdict. mixed: the same, if it was
    allowed. over_episodes: None if refused. holm_p: the permutation test's p, corrected
    for all tests that were asked for together. over_seeds: Welch's interval, nan with one seed.
    over_data: over episodes that share no image; None where a cell has none.
    """

    column: str
    a: str
    b: str
    refused: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    over_episodes: Paired | None = None
    holm_p: float | None = None
    over_seeds: Interval | None = None
    over_data: Interval | None = None

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        if self.over_episodes is None or self.holm_p is None:
            return f"refused: {'; '.join(self.refused)}"
        if self.holm_p > SIGNIFICANCE:
            return "no difference found"
        better = f"{self.a if self.over_episodes.mean > 0 else self.b} is better"
        return better if self.holds_over_seeds else f"{better} on these episodes"

    @property
    def holds_over_seeds(self) -> bool:
        """Return whether other trainings would tell the same: Welch's interval is on one side of 0.

        A single seed has no interval, so it never holds.
        """
        seeds = self.over_seeds
        return seeds is not None and abs(seeds.mean) > seeds.ci95  # never above nan


def compare(
    cells: Sequence[CellResult],
    a: str | None = None,
    b: str | None = None,
    allow_mixed: bool = False,
) -> list[Comparison]:
    """Compare rows `a` and `b` in every column that both have; without names, all pairs of rows.

    A row is named by its cell's id, by its learner, or as a comparison shows it.
    Pairs whose protocols differ are refused, unless `allow_mixed`. Raises UserError for an
    unknown or ambiguous name, and for two rows that share no column.
    """
    rows = table_rows(cells)
    if a is not None and b is not None:
        pairs = [(_find(a, rows), _find(b, rows))]
        if pairs[0][0] is pairs[0][1]:
            raise UserError(f"'{a}' and '{b}' are the same row: {pairs[0][0].full_name}")
    else:
        pairs = list(combinations(rows, 2))
    met = [
        Contrast(i, column, one, other)
        for column in column_names(rows)
        for i, (one, other) in enumerate(pairs)
        if column in one.scores and column in other.scores
    ]
    if not met:
        raise UserError("no two rows share a data set and an episode shape: nothing to compare")
    outcomes = _test([pair for pair in met if allow_mixed or not pair.unlike])
    return [_comparison(pair, outcomes.get((pair.column, pair.place))) for pair in met]


def unbeaten(rows: Sequence[TableRow]) -> dict[tuple[int, str], bool]:
    """Return for each row's place and column whether the best row of its protocol does not beat it.

    The paired permutation test decides, at 5 %, with Holm's correction over all pairs of the table:
    the best row is known as such from the same episodes, so every pair has had its chance. A row
    without a rival under its protocol is not in the result.
    """
    out: dict[tuple[int, str], bool] = {}
    held: list[Contrast] = []
    for column in column_names(rows):
        for i, j in best_rivals(rows, column).items():
            out[i, column] = True
            if rows[j].scores[column].mean > rows[i].scores[column].mean:
                held.append(Contrast(i, column, rows[j], rows[i]))
    tests = sum(count_pairs(rows, column) for column in column_names(rows))
    p_values = deciding_p(held, tests)
    for test, p in zip(held, holm(p_values, tests), strict=True):
        out[test.place, test.column] = p > SIGNIFICANCE
    return out


Outcome = tuple[Paired, float]
"""The test of a pair, and its p with Holm's correction."""


def _test(held: Sequence[Contrast]) -> dict[tuple[str, int], Outcome]:
    """Test each pair, and return the outcomes by column and place.

    Those of a column are resampled together, over the same episodes.
    """
    p_values = permutation_p(held, len(held))
    tests = list(zip(held, p_values, holm(p_values), strict=True))
    outcomes = {}
    for column, own in grouped(tests, lambda test: test[0].column).items():
        d_ER = np.stack([pair.differences for pair, _, _ in own], axis=1)
        found = paired_each(d_ER, [p for _, p, _ in own])
        for (pair, _, holm_p), outcome in zip(own, found, strict=True):
            outcomes[column, pair.place] = (outcome, holm_p)
    return outcomes


def _comparison(pair: Contrast, outcome: Outcome | None) -> Comparison:
    (a, b), names = pair.scores, (pair.better.full_name, pair.row.full_name)
    fields = tuple(pair.unlike)
    if outcome is None:
        return Comparison(pair.column, *names, refused=fields)
    data = None
    if a.disjoint_E is not None and b.disjoint_E is not None:
        data = mean_ci95(a.disjoint_E - b.disjoint_E)
    return Comparison(
        pair.column,
        *names,
        mixed=fields,
        over_episodes=outcome[0],
        holm_p=outcome[1],
        over_seeds=difference_of_means(a.by_seed, b.by_seed),
        over_data=data,
    )


def _find(name: str, rows: Sequence[TableRow]) -> TableRow:
    """Return the row of this name. Raises UserError if there is none, or if there are several."""
    exact = [row for row in rows if name in (*(cell.run.cell for cell in row.cells), row.full_name)]
    named = exact or [row for row in rows if name in (row.name, row.learner)]
    plain = [row for row in named if not row.label] or named
    if len(plain) == 1:
        return plain[0]
    known = ", ".join(f"'{row.full_name}'" for row in (plain or rows))
    problem = "stands for several rows" if plain else "is no row here"
    raise UserError(f"'{name}' {problem}: {known}")
