"""Ridge regression against scikit-learn, in both of its forms, and its gradient."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch.autograd import gradcheck

from fewshot.heads import ridge
from fewshot.heads.support import linear_logits


def make(n_support_per_class: int, n_features: int, scale: float = 1.0, n_episodes: int = 3):
    g = torch.Generator().manual_seed(0)
    y_S = torch.arange(5).repeat_interleave(n_support_per_class)
    z_TSD = torch.randn(n_episodes, len(y_S), n_features, generator=g, dtype=torch.float64) * scale
    return z_TSD, y_S.expand(n_episodes, -1)


@pytest.mark.parametrize("n_features", [3, 25, 400])  # primal, even, dual
@pytest.mark.parametrize("penalty", [0.01, 50.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_the_weights_are_scikit_learns(n_features, penalty, scale):
    z_TSD, y_TS = make(5, n_features, scale)
    weights_TDN = ridge.fit(z_TSD, y_TS, 5, penalty)
    for z_SD, y_S, weights_DN in zip(z_TSD, y_TS, weights_TDN, strict=True):
        model = Ridge(alpha=penalty, fit_intercept=False, solver="svd")
        expected = model.fit(z_SD.numpy(), np.eye(5)[y_S.numpy()]).coef_.T
        assert np.allclose(weights_DN.numpy(), expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("n_features", [4, 12])
def test_the_gradient_is_that_of_finite_differences(n_features):
    z_TSD, y_TS = make(2, n_features, n_episodes=2)
    penalty = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda z, p: ridge.fit(z, y_TS, 5, p), (z_TSD.requires_grad_(), penalty))


def test_what_is_no_number_is_refused_with_the_episode():
    z_TSD, y_TS = make(1, 4)
    z_TSD[2, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="episode 2"):
        ridge.fit(z_TSD, y_TS, 5, 1.0)
    with pytest.raises(ValueError, match="penalty must be positive"):
        ridge.fit(*make(1, 4), 5, 0.0)


def test_half_precision_features_give_float32():
    z_TSD, y_TS = make(1, 4)
    weights = ridge.fit(z_TSD.bfloat16(), y_TS, 5, 1.0)
    assert weights.dtype == linear_logits(weights, z_TSD.bfloat16()).dtype == torch.float32
