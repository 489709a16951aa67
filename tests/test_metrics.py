"""Intervals against scipy, and their coverage."""

import numpy as np
import pytest
from scipy import stats

from fewshot.metrics import mean_ci95


@pytest.mark.parametrize("n", [2, 3, 30, 2000])
def test_the_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(0.7, 0.1, n)
    mean, half = mean_ci95(values)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-12)


def test_it_covers_the_mean_at_its_nominal_rate():
    rng = np.random.default_rng(0)
    hits = 0
    for values in rng.normal(0.5, 0.1, (2000, 10)):
        mean, half = mean_ci95(values)
        hits += abs(mean - 0.5) <= half
    # Binomial: two standard deviations of a rate of 0.95 over 2,000 draws are 0.01.
    assert 0.94 <= hits / 2000 <= 0.96


def test_one_value_has_no_interval():
    mean, half = mean_ci95(np.array([0.5]))
    assert mean == 0.5
    assert np.isnan(half)
