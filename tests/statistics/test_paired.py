"""Intervals and paired tests against scipy, and at their nominal rates in simulation."""

import numpy as np
import pytest
from helpers.pairs import paired
from scipy import stats

from fewshot.statistics.permutation import sign_flip_p

REPETITIONS = 2000
# Two standard deviations of a rate of 0.05 over 2,000 repetitions are 0.01.
NOMINAL = pytest.approx(0.05, abs=0.01)
COVERED = pytest.approx(0.95, abs=0.01)


def accuracies(rng, n, mean=0.0):
    """Differences of accuracies with 75 queries: in steps of 1/75, skewed, in fat tails."""
    raw = mean + 0.03 * rng.standard_t(5, n) + 0.02 * (rng.exponential(1, n) - 1)
    return np.round(75 * raw) / 75


def test_differences_as_rows_of_a_table_and_alone_are_tested_alike():
    rng = np.random.default_rng(4)
    d_ER = np.stack([accuracies(rng, 200, mean) for mean in (0, 0.003)], axis=1)
    alone = [sign_flip_p(d_E[:, None])[0] for d_E in d_ER.T]
    assert sign_flip_p(d_ER) == pytest.approx(alone, abs=1e-12)


def test_the_bootstrap_and_the_interval_cover_the_difference_at_their_nominal_rates():
    rng = np.random.default_rng(6)
    truth, by_t, by_bootstrap = 0.01, 0, 0
    for _ in range(REPETITIONS):
        easy = rng.uniform(0.4, 0.9, 200)
        outcome = paired(easy + rng.normal(truth, 0.05, 200), easy, resamples=999)
        by_t += abs(outcome.mean - truth) <= outcome.ci95
        by_bootstrap += outcome.bootstrap[0] <= truth <= outcome.bootstrap[1]
    assert by_t / REPETITIONS == COVERED
    assert by_bootstrap / REPETITIONS == COVERED


def test_the_bootstrap_is_scipys():
    d_E = accuracies(np.random.default_rng(7), 500, 0.01)
    theirs = stats.bootstrap((d_E,), np.mean, method="percentile", rng=0).confidence_interval
    # Ends are quantiles of 9,999 random means: their own error is about 2 % of the width.
    width = theirs.high - theirs.low
    ours = paired(d_E, np.zeros(500)).bootstrap
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.05 * width)


def test_a_resolvable_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(8)
    resolvable = np.mean([paired(rng.normal(0, 0.05, 100), np.zeros(100)).resolvable] * 5)
    d_ER = rng.normal(resolvable, 0.05, (100, REPETITIONS))
    # One sample of 100 knows its deviation to 7 %, which moves the power by up to 0.07.
    assert np.mean(sign_flip_p(d_ER, resamples=999) <= 0.05) == pytest.approx(0.8, abs=0.1)


def test_needed_episodes_would_resolve_the_difference_seen():
    d_E = accuracies(np.random.default_rng(9), 400, 0.001)
    outcome = paired(d_E, np.zeros(400))
    again = paired(np.resize(d_E, outcome.needed), np.zeros(outcome.needed))
    assert again.resolvable == pytest.approx(abs(outcome.mean), rel=0.1)
    assert paired(np.ones(5), np.ones(5)).needed is None
    # Sums of fractions that are equal on paper, and not to the last bit.
    rounded = np.array([0.1, 0.2, -0.3])
    assert rounded.mean() != 0
    assert paired(rounded, np.zeros(3)).needed is None


def test_fewer_than_six_episodes_never_resolve_anything():
    """However large the difference: 2 of the 2^5 choices of signs are 6 %."""
    rng = np.random.default_rng(0)
    a_E, b_E = 0.9 + 0.01 * rng.random(100), 0.1 + 0.01 * rng.random(100)
    assert paired(a_E, b_E).needed == 6
    assert sign_flip_p((a_E - b_E)[:6, None])[0] <= 0.05 < sign_flip_p((a_E - b_E)[:5, None])[0]


def test_equal_learners_differ_by_nothing():
    outcome = paired(np.full(50, 0.6), np.full(50, 0.6))
    assert (outcome.mean, outcome.ci95, outcome.permutation_p) == (0, 0, 1)
