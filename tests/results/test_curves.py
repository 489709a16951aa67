"""Curves: the target that cells share, and the time to it."""

import math

import numpy as np
import pytest
from helpers.cells import altered, made_cell

from fewshot.results.curves import common_target, first_hit, target_of


def with_target(target, **options):
    return altered(made_cell(**options), {"config.target": target})


def test_a_target_is_the_one_asked_for_or_the_benchmarks():
    assert target_of(with_target(0.6), None) == 0.6
    assert target_of(with_target(0.6), 0.7) == 0.7
    assert target_of(made_cell(), None) is None


def test_cells_have_a_common_target_if_all_that_were_trained_agree():
    assert common_target([with_target(0.6), with_target(0.6, trained=False)], None) == 0.6
    assert common_target([with_target(0.6), with_target(0.7)], None) is None
    assert common_target([with_target(0.6), with_target(0.7)], 0.5) == 0.5
    assert common_target([with_target(0.6, trained=False)], None) is None
    assert common_target([], 0.5) is None


@pytest.mark.parametrize(
    ("target", "seconds"), [(0.3, 1.0), (0.1 + 0.2 + 0.1, 2.0), (0.5, 4.0), (0.9, math.inf)]
)
def test_a_target_is_met_by_the_first_validation_that_reaches_it(target, seconds):
    """Also by one that is the target but for its rounding."""
    accuracies = np.array([0.3, 0.4, 0.35, 0.5])
    assert first_hit(np.array([1.0, 2.0, 3.0, 4.0]), accuracies, target) == seconds
