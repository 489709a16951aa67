"""Means and their 95 % intervals by t."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and the half-width of its 95 % interval; nan where nothing can be said."""

    mean: float
    ci95: float


def mean_ci95(values: np.ndarray | Sequence[float]) -> Interval:
    """Return the mean and the half-width of the 95 % t interval of the mean of independent values.

    The interval is about whatever varies between the values:

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
    return Interval(float(values.mean()), quantile * standard_error(values))


def difference_of_means(a: np.ndarray, b: np.ndarray) -> Interval:
    """Return the mean of `a` less that of `b`, with Welch's 95 % interval, for unpaired values."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    difference = float(a.mean() - b.mean())
    if len(a) < 2 or len(b) < 2:
        return Interval(difference, float("nan"))
    va, vb = standard_error(a) ** 2, standard_error(b) ** 2
    if va + vb == 0:
        return Interval(difference, 0.0)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    quantile = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return Interval(difference, quantile * float(np.sqrt(va + vb)))


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of the mean of two or more independent values."""
    return float(np.std(values, ddof=1)) / float(np.sqrt(len(values)))
