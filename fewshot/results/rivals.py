"""Rows of a table held against the best of their protocol, episode by episode.

Axes: E episodes, R tests. Needs neither torch nor images.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from fewshot.results.protocol import PROTOCOL, unlike
from fewshot.results.rows import Score, TableRow, shape_of
from fewshot.statistics.permutation import as_counts, exact_p, p_bounds, sign_flip_p


class Contrast(NamedTuple):
    """The row at `place`, held against one of a better mean in a column."""

    place: int
    column: str
    better: TableRow
    row: TableRow

    @property
    def differences(self) -> np.ndarray:
        """d_E: by how much it is worse, episode by episode."""
        return self.better.scores[self.column].accuracy_E - self.row.scores[self.column].accuracy_E

    @property
    def unit(self) -> int:
        """Accuracies are so-many-ths: means over seeds of the share of queries that were right."""
        seeds = [len(row.scores[self.column].by_seed) for row in (self.better, self.row)]
        n_query = self.row.scores[self.column].protocol["n_query"]
        return shape_of(self.column)[0] * int(n_query) * math.lcm(*seeds)


def best_rivals(rows: Sequence[TableRow], column: str) -> dict[int, TableRow]:
    """For each row of two or more episodes in a column, the best other row of its protocol."""
    places = [i for i, row in enumerate(rows) if column in row.scores]
    best_first = sorted(places, key=lambda i: -rows[i].scores[column].mean)
    found = {}
    for i in places:
        score = rows[i].scores[column]
        others = (rows[j] for j in best_first if j != i)
        rival = next(
            (o for o in others if not unlike(o.scores[column].protocol, score.protocol)), None
        )
        if rival is not None and len(score.accuracy_E) > 1:
            found[i] = rival
    return found


def count_pairs(rows: Sequence[TableRow], column: str) -> int:
    """How many pairs of rows of a column may be compared."""
    by_protocol: dict[tuple[object, ...], list[Score]] = {}
    for row in rows:
        if column in row.scores:
            score = row.scores[column]
            key = tuple(score.protocol[name] for name in (*PROTOCOL, "images"))
            by_protocol.setdefault(key, []).append(score)
    groups = list(by_protocol.values())
    within = sum(len(group) * (len(group) - 1) // 2 for group in groups)
    across = sum(
        len(a) * len(b)
        for a, b in combinations(groups, 2)
        if not unlike(a[0].protocol, b[0].protocol)
    )
    return within + across


def deciding_p(
    held: Sequence[Contrast], significance: float, resamples: int, tests: int
) -> list[float]:
    """For each test a p that gives, with Holm's correction for so many tests, the verdict of its
    exact p.

    A bound of p stands for it where it decides alone: what is at most the significance over the
    number of tests is found whatever the others are, and what is above the significance never is.
    """
    out, unclear = [math.nan] * len(held), list[int]()
    for k, test in enumerate(held):
        low, high = p_bounds(test.differences)
        if high <= significance / tests:
            out[k] = high
        elif low > significance:
            out[k] = low
        else:
            unclear.append(k)
    for k, p in zip(unclear, permutation_p([held[k] for k in unclear], resamples), strict=True):
        out[k] = p
    return out


def permutation_p(held: Sequence[Contrast], resamples: int) -> list[float]:
    """P of each paired permutation test: exact, where differences are counts of right answers.

    Others have `resamples` permutations drawn.
    """
    out = [math.nan] * len(held)
    drawn: dict[str, list[int]] = {}
    for k, test in enumerate(held):
        if (counts_E := as_counts(test.differences, test.unit)) is not None:
            out[k] = exact_p(counts_E)
        else:
            drawn.setdefault(test.column, []).append(k)
    for places in drawn.values():
        # The tests of a column are resampled together, since they have the same episodes.
        d_ER = np.stack([held[k].differences for k in places], axis=1)
        p_R = sign_flip_p(d_ER, resamples=resamples)
        for k, p in zip(places, p_R.tolist(), strict=True):
            out[k] = p
    return out
