"""Ridge regression of one-hot labels, in closed form, for a whole batch of episodes at once.

Axes: T episodes, N way, S support images, Q query images, D features.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fewshot.heads.support import at_least_float32, check_finite


def fit(support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int, penalty: float | Tensor) -> Tensor:
    """Return the weights_TDN that minimise ||Z W - Y||^2 + penalty ||W||^2; differentiable.

    support_z_TSD: features, no intercept is added. support_y_TS: integer labels 0 .. n_way-1.
    By Cholesky on S equations where S < D, W = Z' (Z Z' + penalty I)^-1 Y, else on D equations,
    W = (Z' Z + penalty I)^-1 Z' Y ("Meta-learning with differentiable closed-form solvers",
    Bertinetto et al., 2019). Half-precision features give float32 weights.

    penalty: a number, or a tensor to learn it.

    Raises ValueError for a penalty <= 0 and for a nan or an infinity (names the episode).
    """
    if not penalty > 0:
        raise ValueError(f"penalty must be positive, not {penalty}")
    check_finite(support_z_TSD)
    z_TSD = at_least_float32(support_z_TSD)
    target_TSN = one_hot(support_y_TS, n_way).to(z_TSD.dtype)
    n_support, n_features = z_TSD.shape[1:]
    with torch.autocast(z_TSD.device.type, enabled=False):
        if n_support < n_features:
            gram_TSS = _plus(z_TSD @ z_TSD.mT, penalty)
            return z_TSD.mT @ _solve(gram_TSS, target_TSN)
        return _solve(_plus(z_TSD.mT @ z_TSD, penalty), z_TSD.mT @ target_TSN)


def _plus(matrix: Tensor, penalty: float | Tensor) -> Tensor:
    return matrix + penalty * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    return torch.cholesky_solve(right, torch.linalg.cholesky(matrix))
