"""Two lists of accuracies held against each other."""

import numpy as np

from fewshot.statistics.paired import Paired, paired_each
from fewshot.statistics.permutation import RESAMPLES, sign_flip_p


def paired(a_E, b_E, resamples=RESAMPLES) -> Paired:
    """The outcome for accuracy `a` less accuracy `b`, with a p of random signs."""
    d_ER = np.subtract(a_E, b_E, dtype=np.float64)[:, None]
    return paired_each(d_ER, sign_flip_p(d_ER, resamples).tolist(), resamples)[0]
