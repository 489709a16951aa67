"""Regularised multinomial logistic regression, for a whole batch of episodes at once.

Axes: T episodes, N way, S support images, Q query images, D features.

The problem of each episode is that of scikit-learn's `LogisticRegression(C=c)`,

    min over W, b of  F = 1/2 ||W||^2 + c * sum over s of CE(softmax(W z_s + b), y_s),

with the intercept b free of penalty. It is solved by truncated Newton (Dembo and Steihaug,
"Truncated-Newton algorithms for large-scale unconstrained optimization", 1983): conjugate
gradients on Hessian-vector products, stopped early while the solution is far, then a backtracking
line search, which makes it converge from anywhere.

W needs to be sought only in the span of the S support features (the representer theorem;
Kimeldorf and Wahba, 1971), and S is far below N*D. So W = A' Z with coefficients A_SN, and every
product is one with the Gram matrix Z Z': a step of conjugate gradients costs one S x S by S x N
matmul, in coordinates that need no factorisation and mind no linear dependence. It is still the
iteration in W itself, in W's own inner product: <U' Z, V' Z> = sum(U * (Z Z') V).
"""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

CHUNK_BYTES = 1 << 23
"""Gram matrices solved together: enough to drown the cost of a call, and near to fit a cache."""
MAX_CG_STEPS = 250
FORCING = 0.1
MAX_HALVINGS = 40
ARMIJO = 1e-4
"""Of the decrease that the gradient promises, the share a step must give (Armijo, 1966)."""


class LogisticHead(NamedTuple):
    """A linear classifier for each episode: weight_TND, and bias_TN, which sums to 0 over N."""

    weight_TND: Tensor
    bias_TN: Tensor


class _Problems(NamedTuple):
    """Episodes being solved; logits_TSN = gram coef + bias is kept up to date with both."""

    index_T: Tensor
    gram_TSS: Tensor
    target_TSN: Tensor
    radius_T: Tensor
    coef_TSN: Tensor
    bias_TN: Tensor
    logits_TSN: Tensor


class _Descent(NamedTuple):
    """The negative gradient by coefficients and bias, and what follows from it.

    curvature_TN: the diagonal of F's Hessian in the bias. gram_coef_TSN: gram @ coef_TSN.
    size_T: squared length, the bias scaled by its curvature.
    """

    p_TSN: Tensor
    coef_TSN: Tensor
    bias_TN: Tensor
    curvature_TN: Tensor
    gram_coef_TSN: Tensor
    size_T: Tensor


@torch.no_grad()
def fit(
    support_z_TSD: Tensor,
    support_y_TS: Tensor,
    n_way: int,
    c: float = 1.0,
    tolerance: float = 1e-6,
    max_iterations: int = 100,
) -> LogisticHead:
    """The minimiser of F (above) for each episode; not differentiable in its arguments.

    support_z_TSD: features. support_y_TS: integer labels 0 .. n_way-1; shots may be unequal.
    c: weight of the data against the penalty, as scikit-learn's `C`. That library takes 2-way
    problems as one logistic regression rather than two softmax columns: its C is 2c there.
    tolerance: on the length of F's gradient times the radius of the support around its mean. F
    grows in W at least as fast as 1/2 ||W||^2, so this bounds how far support logits can be from
    the optimum's. max_iterations: Newton steps.

    Solved in float64 (on the CPU where the device, as Apple's, has none) and returned as
    float32, or as float64 for features in float64. Warns, with how many, of unconverged episodes.

    Raises ValueError for a nan or an infinity in the features (names the episode), for a class
    with no support (names both), for labels outside 0 .. n_way-1 and for c <= 0.
    """
    if not c > 0:
        raise ValueError(f"c must be positive, not {c}")
    _check_support(support_z_TSD, support_y_TS, n_way)
    out = support_z_TSD.new_empty(
        (), dtype=torch.promote_types(support_z_TSD.dtype, torch.float32)
    )
    if support_z_TSD.device.type == "mps":
        support_z_TSD, support_y_TS = support_z_TSD.cpu(), support_y_TS.cpu()
    n_episodes, n_support, n_features = support_z_TSD.shape
    weight_TND = out.new_empty(n_episodes, n_way, n_features)
    bias_TN = out.new_empty(n_episodes, n_way)
    chunk = max(1, CHUNK_BYTES // (8 * n_support**2))
    n_failed = 0
    for start in range(0, n_episodes, chunk):
        part = slice(start, start + chunk)
        # The intercept absorbs any shift of the features, so shift by the mean: that leaves it
        # nearly uncorrelated with W, which conjugate gradients reward.
        mean_T1D = support_z_TSD[part].double().mean(1, keepdim=True)
        z_TSD = support_z_TSD[part].double() - mean_T1D
        coef_TSN, centred_bias_TN, failed = _solve(
            z_TSD,
            one_hot(support_y_TS[part], n_way).double(),
            c,
            tolerance,
            max_iterations,
        )
        part_weight_TND = coef_TSN.mT @ z_TSD
        part_bias_TN = centred_bias_TN - (part_weight_TND @ mean_T1D.mT).squeeze(-1)
        # Logits may gain a constant without changing probabilities: fix it, as scikit-learn does.
        weight_TND[part] = part_weight_TND - part_weight_TND.mean(1, keepdim=True)
        bias_TN[part] = part_bias_TN - part_bias_TN.mean(1, keepdim=True)
        n_failed += failed
    if n_failed:
        warnings.warn(
            f"logistic regression: {n_failed} of {n_episodes} episodes did not converge "
            f"in {max_iterations} Newton steps",
            RuntimeWarning,
            stacklevel=2,
        )
    return LogisticHead(weight_TND, bias_TN)


def logits(head: LogisticHead, query_z_TQD: Tensor) -> Tensor:
    """Logits_TQN = W z + b of query features, in the type of the head or the wider of both."""
    dtype = torch.promote_types(query_z_TQD.dtype, head.bias_TN.dtype)
    with torch.autocast(query_z_TQD.device.type, enabled=False):
        return torch.baddbmm(
            head.bias_TN.unsqueeze(1).to(dtype),
            query_z_TQD.to(dtype),
            head.weight_TND.mT.to(dtype),
        )


def _check_support(z_TSD: Tensor, y_TS: Tensor, n_way: int) -> None:
    finite_T = z_TSD.isfinite().flatten(1).all(1)
    if not finite_T.all():
        raise ValueError(
            f"features of episode {_first(~finite_T)} have a nan or an infinity"
        )
    if ((y_TS < 0) | (y_TS >= n_way)).any():
        raise ValueError(f"support labels must be 0 .. {n_way - 1}")
    absent_TN = one_hot(y_TS, n_way).sum(1) == 0
    if absent_TN.any():
        episode = _first(absent_TN.any(1))
        raise ValueError(
            f"episode {episode} has no support of class {_first(absent_TN[episode])}"
        )


def _first(flags: Tensor) -> int:
    return int(flags.nonzero()[0])


def _solve(
    z_TSD: Tensor, target_TSN: Tensor, c: float, tolerance: float, max_iterations: int
) -> tuple[Tensor, Tensor, int]:
    """Coefficients coef_TSN and bias_TN for centred features, and how many did not converge."""
    coef_TSN = torch.zeros_like(target_TSN)
    bias_TN = coef_TSN[:, 0].clone()
    gram_TSS = z_TSD @ z_TSD.mT
    diagonal_TS = gram_TSS.diagonal(dim1=-2, dim2=-1)
    diagonal_TS += 1e-10 * diagonal_TS.mean(-1, keepdim=True)
    now = _Problems(
        index_T=torch.arange(len(z_TSD), device=z_TSD.device),
        gram_TSS=gram_TSS,
        target_TSN=target_TSN,
        radius_T=z_TSD.norm(dim=-1).amax(-1).clamp(min=1),
        coef_TSN=coef_TSN,
        bias_TN=bias_TN,
        logits_TSN=torch.zeros_like(target_TSN),
    )
    for iteration in range(max_iterations + 1):
        down = _descent(now, c)
        left_T = down.size_T.sqrt() * now.radius_T > tolerance
        if iteration == max_iterations or not left_T.all():
            coef_TSN[now.index_T] = now.coef_TSN
            bias_TN[now.index_T] = now.bias_TN
            now = _Problems(*(x[left_T] for x in now))
            down = _Descent(*(x[left_T] for x in down))
        if iteration == max_iterations or not len(now.index_T):
            break
        now = _search(now, down, c, *_newton_direction(now, down, c))
    return coef_TSN, bias_TN, len(now.index_T)


def _descent(now: _Problems, c: float) -> _Descent:
    p_TSN = now.logits_TSN.softmax(-1)
    pull_TSN = c * (now.target_TSN - p_TSN)
    r_TSN = pull_TSN - now.coef_TSN
    r_TN = pull_TSN.sum(1)
    curvature_TN = c * (p_TSN * (1 - p_TSN)).sum(1).clamp(min=1e-12)
    gram_r_TSN = now.gram_TSS @ r_TSN
    size_T = _dot(r_TSN, gram_r_TSN) + _dot(r_TN, r_TN / curvature_TN)
    return _Descent(p_TSN, r_TSN, r_TN, curvature_TN, gram_r_TSN, size_T.clamp(min=0))


def _newton_direction(
    now: _Problems, down: _Descent, c: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Steps (coef_TSN, bias_TN, logits_TSN) that nearly solve Hessian @ step = down.

    The Hessian takes (U, u) to (U + c V, c sum over s of V), with V = p * (f - sum over n of p f)
    and f = gram U + u the change of the logits.
    """
    gram = now.gram_TSS
    r_TSN, r_TN = down.coef_TSN, down.bias_TN
    n_way = r_TSN.shape[-1]
    w_TS = c * WK(n_way) * (1 - down.p_TSN.square().sum(-1)).clamp(min=1e-14)
    root_TS = w_TS.sqrt()
    B = root_TS.unsqueeze(-1) * gram * root_TS.unsqueeze(-2)
    B.diagonal(dim1=-2, dim2=-1).add_(1)
    E = (
        root_TS.unsqueeze(-1)
        * torch.cholesky_inverse(torch.linalg.cholesky(B))
        * root_TS.unsqueeze(-2)
    )
    e_TS1 = E.sum(-1, keepdim=True)
    sigma_T1 = e_TS1.sum(1)

    def precondition(r_TSN, r_TN, gram_r_TSN):
        g = E @ gram_r_TSN
        y_TN = (r_TN - g.sum(1)) / sigma_T1
        y_TSN = r_TSN - g - e_TS1 * y_TN.unsqueeze(1)
        gy = gram @ y_TSN
        return y_TSN, y_TN, gy, _dot(r_TSN, gy) + _dot(r_TN, y_TN)

    y_TSN, y_TN, gram_y_TSN, size_T = precondition(r_TSN, r_TN, down.gram_coef_TSN)
    # The less is left to do, the more exactly: this gives Newton's fast convergence at the end.
    goal_T = size_T * (size_T.clamp(min=0).sqrt() * FORCING).clamp(max=0.1) ** 2
    step_TSN, step_TN = torch.zeros_like(r_TSN), torch.zeros_like(r_TN)
    step_logits_TSN = torch.zeros_like(r_TSN)
    u_TSN, u_TN, gram_u_TSN = y_TSN, y_TN, gram_y_TSN
    for _ in range(MAX_CG_STEPS):
        CNT[0] += 1
        f_TSN = gram_u_TSN + u_TN.unsqueeze(1)
        weighted_TSN = down.p_TSN * f_TSN
        cv_TSN = c * (weighted_TSN - down.p_TSN * weighted_TSN.sum(-1, keepdim=True))
        curved_T = _dot(u_TSN, gram_u_TSN) + _dot(f_TSN, cv_TSN)
        alpha_T11 = torch.where(size_T > goal_T, size_T / curved_T, 0.0).view(-1, 1, 1)
        step_TSN = step_TSN + alpha_T11 * u_TSN
        step_TN = step_TN + alpha_T11[:, 0] * u_TN
        step_logits_TSN = step_logits_TSN + alpha_T11 * f_TSN
        r_TSN = r_TSN - alpha_T11 * (u_TSN + cv_TSN)
        r_TN = r_TN - alpha_T11[:, 0] * cv_TSN.sum(1)
        y_TSN, y_TN, gram_y_TSN, new_T = precondition(r_TSN, r_TN, gram @ r_TSN)
        if (new_T <= goal_T).all():
            break
        beta_T11 = (new_T / size_T).view(-1, 1, 1)
        u_TSN = y_TSN + beta_T11 * u_TSN
        u_TN = y_TN + beta_T11[:, 0] * u_TN
        gram_u_TSN = gram_y_TSN + beta_T11 * gram_u_TSN
        size_T = new_T
    return step_TSN, step_TN, step_logits_TSN


CNT = [0]
WK = lambda n: 1 / (n - 1)


def _search(
    now: _Problems,
    down: _Descent,
    c: float,
    step_TSN: Tensor,
    step_TN: Tensor,
    step_logits_TSN: Tensor,
) -> _Problems:
    """Each episode moved by the longest of 1, 1/2, 1/4, ... of its step that descends enough."""
    before_T = _objective(now, c)
    promised_T = _dot(down.gram_coef_TSN, step_TSN) + _dot(down.bias_TN, step_TN)
    slack_T = (
        1e-13 * before_T
    )  # rounding errors of F itself, all that moves near the optimum
    length_T = torch.ones_like(before_T)
    for _ in range(MAX_HALVINGS):
        length_T11 = length_T.view(-1, 1, 1)
        moved = now._replace(
            coef_TSN=now.coef_TSN + length_T11 * step_TSN,
            bias_TN=now.bias_TN + length_T11[:, 0] * step_TN,
            logits_TSN=now.logits_TSN + length_T11 * step_logits_TSN,
        )
        enough_T = before_T - ARMIJO * length_T * promised_T + slack_T
        short_T = _objective(moved, c) > enough_T
        if not short_T.any():
            break
        length_T = torch.where(short_T, length_T / 2, length_T)
    return moved


def _objective(now: _Problems, c: float) -> Tensor:
    penalty_T = _dot(now.coef_TSN, now.logits_TSN - now.bias_TN.unsqueeze(1)) / 2
    log_p_TSN = now.logits_TSN.log_softmax(-1)
    return penalty_T - c * _dot(now.target_TSN, log_p_TSN)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
