"""The paired permutation test without permutations, against all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest

from fewshot.statistics.permutation import as_counts, exact_p, p_bounds, sign_flip_p

REPETITIONS = 2000
NOMINAL = pytest.approx(0.05, abs=0.01)  # two standard deviations of a rate
FEW = st.lists(st.integers(-40, 40), min_size=1, max_size=12)


def by_enumeration(values):
    (p,) = sign_flip_p(np.array(values, dtype=float)[:, None], resamples=2 ** len(values))
    return p


@given(FEW)
def test_p_is_that_of_all_choices_of_signs(values):
    assert exact_p(np.array(values)) == pytest.approx(by_enumeration(values), abs=1e-12)


@given(FEW, st.sampled_from([1.0, 0.1, 1 / 75]))
def test_p_lies_within_its_bounds(values, scale):
    low, high = p_bounds(scale * np.array(values))
    assert low - 1e-12 <= by_enumeration(values) <= high + 1e-12


@pytest.mark.parametrize(("wins", "of"), [(170, 400), (200, 400), (5000, 9500), (1020, 2000)])
def test_with_differences_of_one_size_it_is_the_sign_test(wins, of):
    signs = np.ones(of, dtype=int)
    signs[wins:] = -1
    assert exact_p(7 * signs) == pytest.approx(binomtest(wins, of).pvalue, abs=1e-10)


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_with_many_episodes_it_is_what_drawn_permutations_estimate(shift):
    rng = np.random.default_rng(0)
    counts = np.rint(rng.normal(shift, 12, 2000)).astype(int)
    n = 20_000
    (drawn,) = sign_flip_p(counts[:, None] / 75, resamples=n)
    p = exact_p(counts)
    assert abs(drawn - p) < 5 * np.sqrt(p * (1 - p) / n) + 1 / n
    low, high = p_bounds(counts / 75)
    assert low <= p <= high


def test_signs_sizes_and_ties_change_nothing():
    values = np.array([3, -1, 4, 1, -5, 9, 0, 0])
    p = exact_p(values)
    assert exact_p(-values) == exact_p(10 * values) == exact_p(values[values != 0]) == p
    assert exact_p(np.array([2, -2])) == exact_p(np.array([0, 0])) == 1.0
    assert p_bounds(np.zeros(3)) == (1.0, 1.0)


def test_counts_are_found_through_rounding_and_nothing_else_is_a_count():
    right = np.arange(-75, 76)
    seeds = (right[:, None] + np.array([0, 1, 2])).mean(1) / 75  # a mean over three seeds
    np.testing.assert_array_equal(as_counts(right / 75, 75), right)
    np.testing.assert_array_equal(as_counts(seeds, 225), 3 * right + 3)
    assert as_counts(seeds + 1e-5, 225) is None
    assert as_counts(np.array([0.5]), 75) is None


@pytest.mark.parametrize("n", [2, 5, 12])
def test_few_episodes_are_permuted_exactly_as_in_scipy(n):
    a, b = np.random.default_rng(n).integers(0, 6, (2, n)) / 5
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    # scipy doubles the smaller tail, which by symmetry is the share of both, but for a tie at 0.
    assert sign_flip_p((a - b)[:, None])[0] == pytest.approx(min(1, theirs.pvalue), abs=1e-12)


def test_many_episodes_are_permuted_as_in_scipy():
    rng = np.random.default_rng(3)
    # Differences of accuracies with 75 queries: in steps of 1/75, skewed, in fat tails.
    raw_ER = 0.03 * rng.standard_t(5, (300, 3)) + 0.02 * (rng.exponential(1, (300, 3)) - 1)
    d_ER = np.round(75 * (raw_ER + np.array([0, 0.002, 0.004]))) / 75
    theirs = [
        stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=9999, rng=rng
        ).pvalue
        for d in d_ER.T
    ]
    # Two random tests of 9,999 resamples: the standard deviation of a p of 0.5 is 0.005 in each.
    assert sign_flip_p(d_ER) == pytest.approx(theirs, abs=0.03)


@pytest.mark.parametrize("n_episodes", [8, 60, 400])
def test_the_permutation_test_rejects_equal_learners_at_its_nominal_rate(n_episodes):
    rng = np.random.default_rng(5)
    d_ER = rng.normal(0, 0.05, (n_episodes, REPETITIONS))
    assert np.mean(sign_flip_p(d_ER, resamples=999) <= 0.05) == NOMINAL
