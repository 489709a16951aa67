"""Holm's correction: the procedure of his paper, its rate in simulation, and its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewshot.statistics.holm import holm

REPETITIONS = 2000


# Two standard deviations of a rate of 0.05 over 2,000 repetitions are 0.01.
NOMINAL = pytest.approx(0.05, abs=0.01)


def test_holm_is_the_procedure_of_his_paper():
    # Computed by hand: sorted p times 5, 4, 3, 2, 1, then none below the one before.
    p = [0.02, 0.01, 0.2, 0.012, 0.5]
    assert holm(p) == pytest.approx([0.06, 0.05, 0.4, 0.05, 0.5])
    assert holm([]) == []
    assert holm([0.01, 0.03], tests=6) == pytest.approx([0.06, 0.15])


def test_holm_keeps_the_family_at_its_nominal_rate():
    rng = np.random.default_rng(10)
    families = rng.uniform(size=(REPETITIONS, 10))
    assert np.mean([min(holm(list(p))) <= 0.05 for p in families]) == NOMINAL


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_never_lowers_a_p_nor_changes_their_order(p_values):
    adjusted = holm(p_values)
    assert all(new >= old for new, old in zip(adjusted, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= 0)
