"""Regularised multinomial logistic regression, for a whole batch of episodes at once.

Axes: T episodes, N way, S support images, Q query images, D features.

The problem of each episode is that of scikit-learn's `LogisticRegression(C=c)`,

    min over W, b of  1/2 ||W||^2 + c * sum over s of CE(softmax(W z_s + b), y_s),

with the intercept b free of penalty. `newton` solves it by Newton's method: conjugate gradients
on Hessian-vector products, or exact steps where these are slow, and a backtracking line search,
which makes it converge from anywhere.
"""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fewshot.heads import logistic_newton
from fewshot.heads.support import check_finite, check_labels, chunks


class LogisticHead(NamedTuple):
    """A linear classifier for each episode: weight_TND, and bias_TN, which sums to 0 over N."""

    weight_TND: Tensor
    bias_TN: Tensor


@torch.no_grad()
def fit(
    support_z_TSD: Tensor,
    support_y_TS: Tensor,
    n_way: int,
    c: float = 1.0,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
) -> LogisticHead:
    """Return the minimiser for each episode; it is not differentiable in its arguments.

    support_z_TSD: features. support_y_TS: integer labels 0 .. n_way-1; shots may be unequal.
    c: weight of the data against the penalty, as scikit-learn's `C`. That library takes 2-way
    problems as one logistic regression rather than two softmax columns: its C is 2c there.
    tolerance: on the length of the gradient times the radius of the support around its mean.
    Half the squared W is in the objective, so W is no further off than the gradient is long, and
    this bounds the error that W gives the support logits. Where rounding alone makes the gradient
    longer, it is followed down to that. max_iterations: Newton steps.

    Solved in float64 (on the CPU where the device, as Apple's, has none) and returned as
    float32, or as float64 for features in float64. Warns, with how many, of unconverged episodes.

    Raises ValueError for a nan or an infinity in the features (names the episode), for a class
    with no support (names both), for labels outside 0 .. n_way-1 and for c <= 0.
    """
    if not c > 0:
        raise ValueError(f"c must be positive, not {c}")
    device, dtype = support_z_TSD.device, torch.promote_types(support_z_TSD.dtype, torch.float32)
    if device.type == "mps":
        support_z_TSD, support_y_TS = support_z_TSD.cpu(), support_y_TS.cpu()
    check_finite(support_z_TSD)
    check_labels(support_y_TS, n_way)
    n_episodes, n_support, n_features = support_z_TSD.shape
    weight_TND = support_z_TSD.new_empty(n_episodes, n_way, n_features, dtype=dtype)
    bias_TN = support_z_TSD.new_empty(n_episodes, n_way, dtype=dtype)
    n_failed = 0
    for part in chunks(n_episodes, 8 * n_support**2, support_z_TSD.device):
        target_TSN = one_hot(support_y_TS[part].long(), n_way).double()
        (weight_TND[part], bias_TN[part]), failed = _fit_centred(
            support_z_TSD[part].double(), target_TSN, c, tolerance, max_iterations
        )
        n_failed += failed
    if n_failed:
        warnings.warn(
            f"logistic regression: {n_failed} of {n_episodes} episodes did not converge "
            f"in {max_iterations} Newton steps",
            RuntimeWarning,
            stacklevel=2,
        )
    return LogisticHead(weight_TND.to(device), bias_TN.to(device))


def _fit_centred(
    z_TSD: Tensor, target_TSN: Tensor, c: float, tolerance: float, max_iterations: int
) -> tuple[LogisticHead, int]:
    """Return the heads in float64, and how many did not converge.

    The intercept absorbs any shift of the features, so they are shifted by their mean: that leaves
    it nearly uncorrelated with W, which conjugate gradients reward. A constant may be added to all
    logits without changing a probability: it is fixed as scikit-learn does.
    """
    mean_TD1 = z_TSD.mean(1).unsqueeze(-1)
    z_TSD = z_TSD - mean_TD1.mT
    with torch.autocast(z_TSD.device.type, enabled=False):
        coef_TSN, centred_bias_TN, failed = logistic_newton.solve(
            z_TSD, target_TSN, c, tolerance, max_iterations
        )
        weight_TND = coef_TSN.mT @ z_TSD
        bias_TN = centred_bias_TN - (weight_TND @ mean_TD1).squeeze(-1)
    head = LogisticHead(
        weight_TND - weight_TND.mean(1, keepdim=True), bias_TN - bias_TN.mean(1, keepdim=True)
    )
    return head, failed


def logits(head: LogisticHead, query_z_TQD: Tensor) -> Tensor:
    """Return logits_TQN = W z + b of query features, in the wider of their type and the head's."""
    dtype = torch.promote_types(query_z_TQD.dtype, head.bias_TN.dtype)
    with torch.autocast(query_z_TQD.device.type, enabled=False):
        return torch.baddbmm(
            head.bias_TN.unsqueeze(1).to(dtype), query_z_TQD.to(dtype), head.weight_TND.mT.to(dtype)
        )
