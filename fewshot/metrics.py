"""Statistics of episodes: pure functions of arrays.

Axes: E episodes, R rows of a table, B resamples. Accuracies are fractions.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95
POWER = 0.8
"""How often a difference called resolvable would be found, at 5 % significance."""
ROUNDING = 1e-12
"""A mean difference nearer 0 than this is 0: sums of fractions are not exact."""
FEWEST_EPISODES = 6
"""With fewer no choice of signs is rare enough: 2 of 2^5 are 6 %."""
RESAMPLES = 9999
RESAMPLES_AT_ONCE = 500  # memory: so many times E numbers


class Interval(NamedTuple):
    """A mean and the half-width of its 95 % interval; nan where nothing can be said."""

    mean: float
    ci95: float


def mean_ci95(values: np.ndarray | Sequence[float]) -> Interval:
    """Mean and half-width of the 95 % t interval of the mean of independent values.

    What varies between the values says what the interval holds:

    - accuracies of *episodes*: other episodes of the same classes and images;
    - mean accuracies of *training seeds*: other trainings;
    - accuracies of *disjoint episodes*, that share no image: other images of these classes, since
      only these are independent given the classes (Lafargue et al., TMLR 2024).

    The half-width of fewer than two values is nan: one value says nothing about its spread.

    >>> mean, half = mean_ci95(np.array([0.6, 0.7, 0.8]))
    >>> f"{mean:.3f} ± {half:.3f}"
    '0.700 ± 0.248'
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2:
        return Interval(float(values.mean()) if n else float("nan"), float("nan"))
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    return Interval(float(values.mean()), quantile * _standard_error(values))


def difference_of_means(a: np.ndarray, b: np.ndarray) -> Interval:
    """Mean of `a` less that of `b`, and Welch's 95 % interval: for unpaired values (seeds)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    difference = float(a.mean() - b.mean())
    if len(a) < 2 or len(b) < 2:
        return Interval(difference, float("nan"))
    va, vb = _standard_error(a) ** 2, _standard_error(b) ** 2
    if va + vb == 0:
        return Interval(difference, 0.0)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    quantile = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return Interval(difference, quantile * float(np.sqrt(va + vb)))


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
    """Accuracy `a` less accuracy `b`, episode by episode.

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
    """`paired` for R lists of differences over the same episodes, resampled together.

    p_R: of the permutation test, where they are known already.
    """
    p_R = list(sign_flip_p(d_ER, seed, resamples)) if p_R is None else p_R
    ends_2R = _bootstrap(d_ER, seed, resamples)
    quantiles = float(ndtri((1 + CONFIDENCE) / 2) + ndtri(POWER))
    out = []
    for r, d_E in enumerate(d_ER.T):
        mean, ci95 = mean_ci95(d_E)
        resolvable = quantiles * _standard_error(d_E)
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


def sign_flip_p(d_ER: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """Two-sided p_R of the paired permutation test, for R lists of E differences.

    If two learners were alike, each difference could as well have the other sign: p is the share
    of `resamples` random choices of signs, with the one seen among them, whose mean is at least as
    far from 0. With few episodes all 2^E choices are taken, once each. A p of the random test is
    at least 1 / (resamples + 1).
    """
    d_ER = np.asarray(d_ER, dtype=np.float64)
    n_episodes = len(d_ER)
    # Rounding must not tell sums apart that are equal on paper.
    seen_R = np.abs(d_ER.sum(0)) * (1 - 1e-9) - 1e-12
    if 2**n_episodes <= resamples:
        signs_BE = 1.0 - 2.0 * (np.arange(2**n_episodes)[:, None] >> np.arange(n_episodes) & 1)
        return (np.abs(signs_BE @ d_ER) >= seen_R).mean(0)
    rng = np.random.default_rng(seed)
    extreme_R = np.zeros(d_ER.shape[1])
    for first in range(0, resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, resamples - first)
        signs_BE = 1.0 - 2.0 * rng.integers(0, 2, (count, n_episodes), dtype=np.int8)
        extreme_R += (np.abs(signs_BE @ d_ER) >= seen_R).sum(0)
    return (extreme_R + 1) / (resamples + 1)


def holm(p_values: Sequence[float], tests: int | None = None) -> list[float]:
    """Adjusted p values: below 5 % for any of them, the family of tests is wrong 5 % of the time.

    Holm (1979): the smallest is multiplied by their number, the next by one less, and so on;
    none is smaller than the one before. tests: their number, where others belong to the family
    whose p was not needed.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = (tests or len(order)) - np.arange(len(order))
    raised = np.maximum.accumulate(np.minimum(1.0, factors * np.asarray(p_values)[order]))
    adjusted = np.empty(len(order))
    adjusted[order] = raised
    return [float(p) for p in adjusted]


def _bootstrap(d_ER: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Ends_2R of the percentile interval of the mean (Efron, 1979)."""
    rng, n = np.random.default_rng([seed, 1]), len(d_ER)
    means = []
    for first in range(0, resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, resamples - first)
        drawn_BE = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        how_often_BE = np.bincount(drawn_BE.ravel(), minlength=count * n).reshape(count, n)
        means.append(how_often_BE @ d_ER / n)
    tail = (1 - CONFIDENCE) / 2
    return np.asarray(np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0))


def _standard_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) / float(np.sqrt(len(values)))
