"""The difference of two learners on the same episodes: intervals, p, and episodes needed.

Axes: E episodes, R lists of differences, B resamples. Accuracies are fractions.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from fewshot.statistics.intervals import CONFIDENCE, mean_ci95, standard_error
from fewshot.statistics.permutation import RESAMPLES, RESAMPLES_AT_ONCE, sign_flip_p

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


def paired(a_E: np.ndarray, b_E: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Paired:
    """Return accuracy `a` less accuracy `b`, compared episode by episode.

    Raises ValueError for lists of different or of fewer than two episodes.

    >>> rng = np.random.default_rng(0)
    >>> easy = rng.uniform(0.5, 0.9, 400)
    >>> outcome = paired(easy + rng.normal(0.02, 0.05, 400), easy)
    >>> outcome.permutation_p < 0.01
    True
    """
    if len(a_E) != len(b_E) or len(a_E) < 2:
        raise ValueError(f"cannot pair {len(a_E)} episodes with {len(b_E)}")
    d_E = np.asarray(a_E, dtype=np.float64) - np.asarray(b_E, dtype=np.float64)
    return paired_each(d_E[:, None], seed, resamples)[0]


def paired_each(
    d_ER: np.ndarray,
    seed: int = 0,
    resamples: int = RESAMPLES,
    p_R: Sequence[float] | None = None,
) -> list[Paired]:
    """Return `paired` of R lists of differences over the same episodes, resampled together.

    p_R: of the permutation test, where they are known already.
    """
    p_R = list(sign_flip_p(d_ER, seed, resamples)) if p_R is None else p_R
    ends_2R = _bootstrap(d_ER, seed, resamples)
    quantiles = float(ndtri((1 + CONFIDENCE) / 2) + ndtri(POWER))
    out = []
    for r, d_E in enumerate(d_ER.T):
        mean, ci95 = mean_ci95(d_E)
        resolvable = quantiles * standard_error(d_E)
        is_zero = abs(mean) < ROUNDING
        needed = None if is_zero else math.ceil(len(d_E) * (resolvable / mean) ** 2)
        out.append(
            Paired(
                mean=mean,
                ci95=ci95,
                permutation_p=float(p_R[r]),
                bootstrap=(float(ends_2R[0, r]), float(ends_2R[1, r])),
                resolvable=resolvable,
                needed=None if needed is None else max(FEWEST_EPISODES, needed),
                episodes=len(d_E),
            )
        )
    return out


def _bootstrap(d_ER: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return ends_2R of the percentile interval of the mean (Efron, 1979)."""
    rng, n = np.random.default_rng([seed, 1]), len(d_ER)
    means = []
    for first in range(0, resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, resamples - first)
        drawn_BE = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        how_often_BE = np.bincount(drawn_BE.ravel(), minlength=count * n).reshape(count, n)
        means.append(how_often_BE @ d_ER / n)
    tail = (1 - CONFIDENCE) / 2
    return np.asarray(np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0))
