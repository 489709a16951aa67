"""The paired permutation test without drawing permutations: bounds of its p, and p itself.

The test asks how often sums of differences with random signs are as far from 0 as the one seen
(see `metrics.sign_flip_p`). Most tests are far from any threshold, which bounds of p show; and
accuracies are counts of right answers, of whose differences p can be computed without chance.

Axes: E episodes, V values that occur, F frequencies.
"""

import math

import numpy as np
from scipy.special import ndtr

BERRY_ESSEEN = 0.56
"""Of sums of unlike terms (Shevtsova, 2010, Doklady Mathematics 82)."""
FAR = 10.0
"""Standard deviations beyond which a sum lies once in 10^21 times at most (Hoeffding)."""
ROUNDING = 1e-6
"""A number this near a whole one is that one with the rounding of its arithmetic."""


def p_bounds(d_E: np.ndarray) -> tuple[float, float]:
    """A lower and an upper bound of the two-sided p, valid for any differences.

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
    """The differences in `unit`-ths as whole numbers; None where they are none.

    >>> as_counts(np.array([0.5, -0.25]), 4)
    array([ 2, -1])
    """
    scaled_E = d_E * unit
    counts_E = np.rint(scaled_E)
    return counts_E.astype(np.int64) if np.abs(scaled_E - counts_E).max() < ROUNDING else None


def exact_p(counts_E: np.ndarray) -> float:
    """The share of all 2^E choices of signs whose sum is as far from 0 as the one seen.

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
