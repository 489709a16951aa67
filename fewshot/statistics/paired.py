"""The difference of two learners on the same episodes: intervals, p, and episodes needed.

Axes: E episodes, R lists of differences, B resamples. Accuracies are fractions.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from fewshot.statistics.intervals import CONFIDENCE, mean_ci95, standard_error
from fewshot.statistics.permutation import RESAMPLES, RESAMPLES_AT_ONCE

POWER = 0.8
"""The chance to find a difference that is called resolvable, at 5 % significance."""
ROUNDING = 1e-12
"""A mean difference nearer 0 than this is 0: sums of fractions are not exact."""
FEWEST_EPISODES = 6
"""With fewer no choice of signs is rare enough: 2 of 2^5 are 6 %."""


class Paired(NamedTuple):
    """The difference of two learners on the same episodes.

    mean, ci95: of the differences, by t. permutation_p: two-sided, by flipping signs. bootstrap:
    ends of the 95 % interval of the mean by resampled episodes. resolvable: the smallest mean
    difference that this many episodes find four times in five, at 5 % significance, tested alone.
    needed: episodes that would find the difference seen as often; None where it is 0.
    """

    mean: float
    ci95: float
    permutation_p: float
    bootstrap: tuple[float, float]
    resolvable: float
    needed: int | None
    episodes: int


def paired_each(d_ER: np.ndarray, p_R: Sequence[float], resamples: int = RESAMPLES) -> list[Paired]:
    """Return the outcomes of R lists of differences over the same episodes, resampled together.

    p_R: of the permutation test.
    """
    ends_2R = _bootstrap(d_ER, resamples)
    quantiles = float(ndtri((1 + CONFIDENCE) / 2) + ndtri(POWER))
    out = []
    for d_E, p, (low, high) in zip(d_ER.T, p_R, ends_2R.T.tolist(), strict=True):
        mean, ci95 = mean_ci95(d_E)
        resolvable = quantiles * standard_error(d_E)
        needed = None
        if abs(mean) >= ROUNDING:
            needed = max(FEWEST_EPISODES, math.ceil(len(d_E) * (resolvable / mean) ** 2))
        out.append(Paired(mean, ci95, p, (low, high), resolvable, needed, len(d_E)))
    return out


def _bootstrap(d_ER: np.ndarray, resamples: int) -> np.ndarray:
    """Return ends_2R of the percentile interval of the mean (Efron, 1979)."""
    rng, n = np.random.default_rng([0, 1]), len(d_ER)
    means = []
    for first in range(0, resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, resamples - first)
        drawn_BE = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        how_often_BE = np.bincount(drawn_BE.ravel(), minlength=count * n).reshape(count, n)
        means.append(how_often_BE @ d_ER / n)
    tail = (1 - CONFIDENCE) / 2
    return np.asarray(np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0))
