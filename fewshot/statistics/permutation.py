"""The paired permutation test: bounds of its p, p itself, and p by random signs.

The test asks how often sums of differences with random signs are as far from 0 as the one seen.
Most tests are far from any threshold, which bounds of p show; and accuracies are counts of right
answers, of whose differences p can be computed without chance. What is left takes random signs.

Axes: E episodes, R lists of differences, V values that occur, F frequencies, B resamples.
"""

import math

import numpy as np
from scipy.special import ndtr

BERRY_ESSEEN = 0.56
"""The constant for sums of unlike terms (Shevtsova, 2010, Doklady Mathematics 82)."""
FAR = 10.0
"""Standard deviations beyond which a sum lies once in 10^21 times at most (Hoeffding)."""
COUNT_ROUNDING = 1e-6
"""A number this near a whole one is that one with the rounding of its arithmetic."""
RESAMPLES = 9999
RESAMPLES_AT_ONCE = 500
"""Resamples of E numbers each that are held in memory together."""


def p_bounds(d_E: np.ndarray) -> tuple[float, float]:
    """Return a lower and an upper bound of the two-sided p, valid for any differences.

    The upper one is Hoeffding's (1963), the lower one that of Berry and Esseen, since a sum of
    differences with random signs is nearly normal where there are many of them.

    >>> low, high = p_bounds(np.array([0.1, 0.2, 0.3, 0.1] * 8))
    >>> high < 1e-5
    True
    """
    squares = float(np.square(d_E).sum())
    if not squares:
        return 1.0, 1.0
    z = abs(float(d_E.sum())) / math.sqrt(squares)
    off = BERRY_ESSEEN * float((np.abs(d_E) ** 3).sum()) / squares**1.5
    return max(0.0, 2 * (float(ndtr(-z)) - off)), min(1.0, 2 * math.exp(-z * z / 2))


def as_counts(d_E: np.ndarray, unit: int) -> np.ndarray | None:
    """Return the differences in `unit`-ths as whole numbers; None if they are not whole.

    >>> as_counts(np.array([0.5, -0.25]), 4)
    array([ 2, -1])
    """
    scaled_E = d_E * unit
    counts_E = np.rint(scaled_E)
    return counts_E.astype(np.int64) if np.abs(scaled_E - counts_E).max() < COUNT_ROUNDING else None


def exact_p(counts_E: np.ndarray) -> float:
    """Return the share of all 2^E choices of signs whose sum is as far from 0 as the one seen.

    For differences that are whole numbers; to within 1e-12. A sum of k with random signs has the
    characteristic function prod cos(k t), whose inverse Fourier transform is its distribution.

    >>> exact_p(np.array([1, 1, 1]))  # 2 of 8
    0.25
    """
    size_V, often_V = np.unique(np.abs(counts_E[counts_E != 0]), return_counts=True)
    seen = abs(int(counts_E.sum()))
    if not seen:
        return 1.0
    divisor = int(np.gcd.reduce(size_V))
    size_V, seen = size_V // divisor, seen // divisor
    # Sums are all odd or all even, so halves of them are counted. They are known modulo `period`,
    # which is so large that what is taken for a sum nearer 0 than the one seen is one, or beyond
    # FAR standard deviations.
    spread = math.sqrt(float((often_V * size_V**2).sum()))
    period = 2 ** math.ceil(math.log2(max(seen, (seen + FAR * spread) / 2, 2)))
    cos_F = np.cos(np.pi * np.arange(2 * period) / period)
    log_F, negative_F = np.log(np.abs(cos_F)), cos_F < 0
    frequency_F = np.arange(period // 2 + 1)
    logs_F = np.zeros(len(frequency_F))
    odd_F = np.zeros(len(frequency_F), dtype=bool)
    for size, often in zip(size_V.tolist(), often_V.tolist(), strict=True):
        places_F = size * frequency_F % (2 * period)
        logs_F += often * log_F[places_F]
        if often % 2:
            odd_F ^= negative_F[places_F]
    # Shifted so that the first seen - 1 places are the sums nearer 0 than the one seen.
    shift_F = np.exp(-1j * np.pi * (frequency_F * (seen - 2) % (2 * period)) / period)
    shares = np.fft.irfft(np.where(odd_F, -1, 1) * np.exp(logs_F) * shift_F, period)
    return float(np.clip(1 - shares[: seen - 1].sum(), 0, 1))


def sign_flip_p(d_ER: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Return the two-sided p_R of the paired permutation test, for R lists of E differences.

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
    rng = np.random.default_rng(0)
    extreme_R = np.zeros(d_ER.shape[1])
    for first in range(0, resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, resamples - first)
        signs_BE = 1.0 - 2.0 * rng.integers(0, 2, (count, n_episodes), dtype=np.int8)
        extreme_R += (np.abs(signs_BE @ d_ER) >= seen_R).sum(0)
    return (extreme_R + 1) / (resamples + 1)
