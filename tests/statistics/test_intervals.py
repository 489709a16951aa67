"""Intervals of means against scipy, and at their nominal rate in simulation."""

import numpy as np
import pytest
from scipy import stats

from fewshot.statistics.intervals import difference_of_means, mean_ci95

REPETITIONS = 2000


COVERED = pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("n", [2, 3, 30, 2000])
def test_the_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(0.7, 0.1, n)
    mean, half = mean_ci95(values)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-12)


def test_it_covers_the_mean_at_its_nominal_rate():
    rng = np.random.default_rng(0)
    hits = 0
    for values in rng.normal(0.5, 0.1, (REPETITIONS, 10)):
        mean, half = mean_ci95(values)
        hits += abs(mean - 0.5) <= half
    assert hits / REPETITIONS == COVERED


def test_one_value_has_no_interval():
    mean, half = mean_ci95(np.array([0.5]))
    assert mean == 0.5
    assert np.isnan(half)


def test_the_interval_of_seeds_is_welchs():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.7, 0.02, 3), rng.normal(0.6, 0.05, 5)
    mean, half = difference_of_means(a, b)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert np.isnan(difference_of_means(a, b[:1]).ci95)
