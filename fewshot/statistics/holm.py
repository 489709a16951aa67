"""Holm's correction for several tests."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float], tests: int | None = None) -> list[float]:
    """Return adjusted p values: to believe those below 5 % is wrong in 5 % of such families.

    Holm (1979): the smallest is multiplied by their number, the next by one less, and so on;
    none is smaller than the one before. tests: their number, where others belong to the family
    whose p was not needed.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = (tests or len(order)) - np.arange(len(order))
    raised = np.maximum.accumulate(np.minimum(1.0, factors * np.asarray(p_values)[order]))
    adjusted = np.empty(len(order))
    adjusted[order] = raised
    return [float(p) for p in adjusted]
