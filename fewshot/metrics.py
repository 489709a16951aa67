"""Statistics of episodes: pure functions of arrays."""

import numpy as np
from scipy.special import stdtrit


def mean_ci95(values: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of the 95 % t interval of the mean of independent values.

    Over the accuracies of episodes it says how far the mean would move with other episodes of
    the same classes and images; it holds no variation over training seeds. The half-width of
    fewer than two values is nan: one value says nothing about its spread.

    >>> mean, half = mean_ci95(np.array([0.6, 0.7, 0.8]))
    >>> f"{mean:.3f} ± {half:.3f}"
    '0.700 ± 0.248'
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2:
        return float(values.mean()) if n else float("nan"), float("nan")
    quantile = float(stdtrit(n - 1, 0.975))
    return float(values.mean()), quantile * float(values.std(ddof=1)) / float(np.sqrt(n))
