"""Table rows held against the best of their protocol, episode by episode.

Axes: E episodes, R tests. Needs neither torch nor images.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from fewshot.results.grouping import grouped
from fewshot.results.protocol import unlike
from fewshot.results.rows import Score, TableRow, shape_of
from fewshot.statistics.permutation import RESAMPLES, as_counts, exact_p, p_bounds, sign_flip_p

SIGNIFICANCE = 0.05
RESAMPLES_PER_TEST = 100
"""The fewest resamples for each test of a family: a p that Holm raises must be able to stay small.
"""


class Contrast(NamedTuple):
    """A table row held against another in a column, often a better one.

    place: the row's number, or the pair's.
    """

    place: int
    column: str
    better: TableRow
    row: TableRow

    @property
    def scores(self) -> tuple[Score, Score]:
        """The scores of both rows."""
        return self.better.scores[self.column], self.row.scores[self.column]

    @property
    def unlike(self) -> list[str]:
        """The fields in which the protocols of both differ, in words."""
        return unlike(*(score.protocol for score in self.scores))

    @property
    def differences(self) -> np.ndarray:
        """The accuracy that it lacks in each episode, d_E."""
        better, own = self.scores
        return better.accuracy_E - own.accuracy_E

    @property
    def unit(self) -> int:
        """The common denominator of both rows' accuracies.

        An accuracy is a mean over seeds of the share of queries that were right.
        """
        seeds = [len(score.by_seed) for score in self.scores]
        n_query = self.scores[1].protocol.n_query
        return shape_of(self.column)[0] * n_query * math.lcm(*seeds)


def best_rivals(rows: Sequence[TableRow], column: str) -> dict[int, int]:
    """Return by each row's place that of the best other row of its protocol in a column.

    A row without a rival, or of a single episode, is not in the result.
    """
    scores = {i: row.scores[column] for i, row in enumerate(rows) if column in row.scores}
    best_first = sorted(scores, key=lambda i: -scores[i].mean)
    found = {}
    for i, score in scores.items():
        rivals = (
            j for j in best_first if j != i and not unlike(scores[j].protocol, score.protocol)
        )
        rival = next(rivals, None)
        if rival is not None and len(score.accuracy_E) > 1:
            found[i] = rival
    return found


def count_pairs(rows: Sequence[TableRow], column: str) -> int:
    """Return how many pairs of rows of a column may be compared."""
    counts = Counter(row.scores[column].protocol for row in rows if column in row.scores)
    within = sum(math.comb(count, 2) for count in counts.values())
    across = sum(counts[a] * counts[b] for a, b in combinations(counts, 2) if not unlike(a, b))
    return within + across


def resamples_of(tests: int) -> int:
    """Return the resamples of each test in a family of this size."""
    return max(RESAMPLES, RESAMPLES_PER_TEST * tests)


def deciding_p(held: Sequence[Contrast], tests: int) -> list[float]:
    """Return p values that have, with Holm's correction, the verdicts of the exact ones.

    tests: the number of tests that Holm corrects for. A bound stands for p where it decides alone:
    a p of at most SIGNIFICANCE / tests is significant whatever the others are, and one above
    SIGNIFICANCE never is.
    """
    out, unclear = [math.nan] * len(held), list[int]()
    for k, test in enumerate(held):
        low, high = p_bounds(test.differences)
        if high <= SIGNIFICANCE / tests:
            out[k] = high
        elif low > SIGNIFICANCE:
            out[k] = low
        else:
            unclear.append(k)
    for k, p in zip(unclear, permutation_p([held[k] for k in unclear], tests), strict=True):
        out[k] = p
    return out


def permutation_p(held: Sequence[Contrast], tests: int) -> list[float]:
    """Return p of each paired permutation test.

    It is exact where differences are counts of right answers; for the others, permutations are
    drawn. tests: the number of tests that Holm corrects for.
    """
    out, drawn = [math.nan] * len(held), list[int]()
    for k, test in enumerate(held):
        if (counts_E := as_counts(test.differences, test.unit)) is not None:
            out[k] = exact_p(counts_E)
        else:
            drawn.append(k)
    for places in grouped(drawn, lambda k: held[k].column).values():
        # The tests of a column are resampled together, since they have the same episodes.
        d_ER = np.stack([held[k].differences for k in places], axis=1)
        p_R = sign_flip_p(d_ER, resamples_of(tests))
        for k, p in zip(places, p_R.tolist(), strict=True):
            out[k] = p
    return out
