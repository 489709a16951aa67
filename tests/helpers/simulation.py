"""Rates over many simulated sets of scores, and scores as they are."""

import numpy as np
import pytest

REPETITIONS = 2000
# Two standard deviations of a rate of 0.05 over 2,000 repetitions are 0.01.
NOMINAL = pytest.approx(0.05, abs=0.01)
COVERED = pytest.approx(0.95, abs=0.01)


def accuracies(rng, n, mean=0.0):
    """Differences of accuracies with 75 queries: in steps of 1/75, skewed, in fat tails."""
    raw = mean + 0.03 * rng.standard_t(5, n) + 0.02 * (rng.exponential(1, n) - 1)
    return np.round(75 * raw) / 75
