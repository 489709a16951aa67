"""Newton's method for the logistic head of many episodes; `logistic` holds the problem and the API.

Axes: T episodes, N way, S support images, D features, M = S+N unknowns.

W is sought only in the span of the S support features (the representer theorem; Kimeldorf and
Wahba, 1971), as S is far below N*D: W = A' Z, with coefficients A_SN. Every product is then one
with the Gram matrix Z Z', and linear dependence among features does no harm. It is the iteration
in W all the same, in W's own inner product: <U' Z, V' Z> = sum(U * (Z Z') V).

Sums in another order, on another processor, round differently, and large features round coarsely.
So nothing here waits for an accuracy that rounding may not allow: conjugate gradients end where a
residual is lost in the rounding of its own length, the line search lets an objective rise by its
rounding, and an episode is done within the tolerance or where its gradient is rounding alone.
"""

from typing import NamedTuple

import torch
from torch import Tensor

JITTER = 1e-12
"""Added to a Gram matrix, as a share of its mean diagonal. Without it, the coefficients could
drift along its null space, unseen by any inner product, until they drown the rest in rounding
errors. It moves support logits by less than this share of c * ||z||^2."""
MAX_CG_STEPS = 40
"""Beyond these, the exact step is cheaper. Most episodes take 3 to 15."""
FORCING = 0.1
"""A step is solved to this share of the gradient, times its length where that is below 1."""
MAX_HALVINGS = 40
ARMIJO = 1e-4
"""The share of the promised decrease that a step must give (Armijo, 1966)."""
EPS = torch.finfo(torch.float64).eps
NOISE = 10.0
"""A gradient this many times as long as rounding makes it, and no longer halved by a step, is as
short as float64 can tell."""


class _Problems(NamedTuple):
    """Episodes being solved; logits_TSN = gram coef + bias is kept up to date with both.

    hard_T: conjugate gradients were too slow, so take exact steps. size_T: `_Descent.size_T` where
    the last step began.
    """

    index_T: Tensor
    gram_TSS: Tensor
    target_TSN: Tensor
    radius_T: Tensor
    hard_T: Tensor
    coef_TSN: Tensor
    bias_TN: Tensor
    logits_TSN: Tensor
    size_T: Tensor


class _Descent(NamedTuple):
    """The negative gradient by coefficients and bias, and what follows from it.

    curvature_TN: the diagonal of the Hessian in the bias. gram_coef_TSN: gram @ coef_TSN.
    size_T: squared length, the bias scaled by its curvature. noise_T: the size that rounding alone
    is expected to give. slack_T: a bound on the rounding of the objective.
    """

    p_TSN: Tensor
    coef_TSN: Tensor
    bias_TN: Tensor
    curvature_TN: Tensor
    gram_coef_TSN: Tensor
    size_T: Tensor
    noise_T: Tensor
    slack_T: Tensor


class _Step(NamedTuple):
    """Changes of what `_Problems` holds under the same names, and its next hard_T."""

    coef_TSN: Tensor
    bias_TN: Tensor
    logits_TSN: Tensor
    hard_T: Tensor


def solve(
    z_TSD: Tensor, target_TSN: Tensor, c: float, tolerance: float, max_iterations: int
) -> tuple[Tensor, Tensor, int]:
    """Return the coefficients coef_TSN and bias_TN, and how many episodes did not converge.

    z_TSD: features in float64; centred ones converge faster. target_TSN: one-hot labels.
    """
    coef_TSN = torch.zeros_like(target_TSN)
    bias_TN = torch.zeros_like(target_TSN[:, 0])
    gram_TSS = z_TSD @ z_TSD.mT
    diagonal_TS = gram_TSS.diagonal(dim1=-2, dim2=-1)
    radius_T = diagonal_TS.amax(-1).sqrt().clamp(min=1)
    diagonal_TS += JITTER * diagonal_TS.mean(-1, keepdim=True)
    now = _Problems(
        index_T=torch.arange(len(z_TSD), device=z_TSD.device),
        gram_TSS=gram_TSS,
        target_TSN=target_TSN,
        radius_T=radius_T,
        hard_T=torch.zeros_like(radius_T, dtype=torch.bool),
        coef_TSN=coef_TSN.clone(),
        bias_TN=bias_TN.clone(),
        logits_TSN=torch.zeros_like(target_TSN),
        size_T=torch.full_like(radius_T, torch.inf),
    )
    for iteration in range(max_iterations + 1):
        down = _descent(now, c)
        left_T = ~_is_solved(now, down, tolerance)  # true of nan too
        if iteration == max_iterations or not left_T.all():
            coef_TSN[now.index_T] = now.coef_TSN
            bias_TN[now.index_T] = now.bias_TN
            now, down = _Problems(*_pick(now, left_T)), _Descent(*_pick(down, left_T))
        if iteration == max_iterations or not len(now.index_T):
            break
        now = _search(now, down, c, _direction(now, down, c))
    return coef_TSN, bias_TN, len(now.index_T)


def _is_solved(now: _Problems, down: _Descent, tolerance: float) -> Tensor:
    """Say of each episode whether it is within the tolerance, or at its own rounding."""
    is_noise_T = down.size_T <= NOISE**2 * down.noise_T
    stalls_T = down.size_T > now.size_T / 4
    return (down.size_T.sqrt() * now.radius_T <= tolerance) | (is_noise_T & stalls_T)


def _descent(now: _Problems, c: float) -> _Descent:
    p_TSN = now.logits_TSN.softmax(-1)
    pull_TSN = c * (now.target_TSN - p_TSN)
    r_TSN = pull_TSN - now.coef_TSN
    r_TN = _centred(pull_TSN.sum(1))
    bend_TSN = c * p_TSN * (1 - p_TSN)
    curvature_TN = bend_TSN.sum(1).clamp(min=1e-12 * c)
    gram_r_TSN = now.gram_TSS @ r_TSN
    size_T = _dot(r_TSN, gram_r_TSN) + _dot(r_TN, r_TN / curvature_TN)
    noise_T, slack_T = _rounding(now, c, p_TSN, bend_TSN, curvature_TN)
    return _Descent(
        p_TSN, r_TSN, r_TN, curvature_TN, gram_r_TSN, size_T.clamp(min=0), noise_T, slack_T
    )


def _rounding(
    now: _Problems, c: float, p_TSN: Tensor, bend_TSN: Tensor, curvature_TN: Tensor
) -> tuple[Tensor, Tensor]:
    """Return noise_T and slack_T of `_Descent`, from the terms that each number sums up."""
    length_TS1 = _squares(now).sqrt()
    logits_TSN = length_TS1 * (length_TS1 * now.coef_TSN).norm(dim=1, keepdim=True)
    logits_TSN = logits_TSN + now.logits_TSN.abs() + now.bias_TN.abs().unsqueeze(1)
    pull_TSN = c * (now.target_TSN + p_TSN) + bend_TSN * logits_TSN
    coef_TSN = length_TS1 * (pull_TSN + now.coef_TSN.abs())
    noise_T = _dot(coef_TSN, coef_TSN) + _dot(pull_TSN.square().sum(1), 1 / curvature_TN)
    return EPS**2 * noise_T, EPS * _dot(now.coef_TSN.abs() + c, logits_TSN)


def _direction(now: _Problems, down: _Descent, c: float) -> _Step:
    """Return a step that nearly solves Hessian @ step = down, for each episode."""
    step = _Step(*map(torch.empty_like, (now.coef_TSN, now.bias_TN, now.coef_TSN, now.hard_T)))
    for mask_T, step_of in ((~now.hard_T, _truncated_step), (now.hard_T, _exact_step)):
        if mask_T.any():
            part = step_of(_Problems(*_pick(now, mask_T)), _Descent(*_pick(down, mask_T)), c)
            for whole, values in zip(step, part, strict=True):
                whole[mask_T] = values
    return step


def _truncated_step(now: _Problems, down: _Descent, c: float) -> _Step:
    """Return a step by conjugate gradients, cut short (Dembo and Steihaug, 1983).

    The Hessian takes (U, u) to (U + c V, c sum over s of V), with V = p * (f - sum over n of p f)
    and f = gram U + u the change of the logits.
    """
    r_TSN, r_TN, size_T = down.coef_TSN, down.bias_TN, down.size_T
    # The less is left to do, the more exactly: this keeps Newton's fast convergence at the end.
    goal_T = size_T * (FORCING * size_T.sqrt().clamp(max=1)) ** 2
    step_TSN, step_TN = torch.zeros_like(r_TSN), torch.zeros_like(r_TN)
    step_logits_TSN = torch.zeros_like(r_TSN)
    squares_TS1 = _squares(now)
    end_T = torch.maximum(goal_T, EPS * _dot(squares_TS1 * r_TSN, r_TSN))
    u_TSN, u_TN, gram_u_TSN = r_TSN, _centred(r_TN / down.curvature_TN), down.gram_coef_TSN
    for _ in range(MAX_CG_STEPS):
        f_TSN = gram_u_TSN + u_TN.unsqueeze(1)
        cv_TSN = c * down.p_TSN * f_TSN
        cv_TSN = cv_TSN - down.p_TSN * cv_TSN.sum(-1, keepdim=True)
        curved_T = _dot(u_TSN, gram_u_TSN) + _dot(f_TSN, cv_TSN)
        going_T = size_T > end_T  # the others stand still till the last is done
        alpha_T11 = torch.where(going_T, size_T / curved_T, 0.0).view(-1, 1, 1)
        step_TSN = step_TSN + alpha_T11 * u_TSN
        step_TN = step_TN + alpha_T11[:, 0] * u_TN
        step_logits_TSN = step_logits_TSN + alpha_T11 * f_TSN
        r_TSN = r_TSN - alpha_T11 * (u_TSN + cv_TSN)
        r_TN = _centred(r_TN - alpha_T11[:, 0] * cv_TSN.sum(1))
        gram_r_TSN = now.gram_TSS @ r_TSN
        scaled_TN = _centred(r_TN / down.curvature_TN)
        new_T = _dot(r_TSN, gram_r_TSN) + _dot(r_TN, scaled_TN)
        end_T = torch.maximum(goal_T, EPS * _dot(squares_TS1 * r_TSN, r_TSN))
        if (new_T <= end_T).all():
            break
        beta_T11 = torch.where(going_T, new_T / size_T, 0.0).view(-1, 1, 1)
        u_TSN = r_TSN + beta_T11 * u_TSN
        u_TN = scaled_TN + beta_T11[:, 0] * u_TN
        gram_u_TSN = gram_r_TSN + beta_T11 * gram_u_TSN
        size_T = new_T
    return _Step(step_TSN, step_TN, step_logits_TSN, new_T > goal_T)


def _exact_step(now: _Problems, down: _Descent, c: float) -> _Step:
    """Return an exact step, by N+1 Cholesky factorisations.

    It is algorithm 3.3 of Rasmussen and Williams (2006), with a bias. Let for class n
    E_n = (gram + 1/(c p_n))^-1, with c p_n a diagonal, and g = sum of p f over n, with f as in
    `_truncated_step`. Then U_n = r_n - E_n (gram r_n + u_n - g), where g and u follow from
    sum over n of p_n (f_n - g) = 0 and sum over s of (r_n - U_n) = the bias' negative gradient.
    """
    root_TNS = (c * down.p_TSN.mT).clamp(min=1e-100).sqrt()
    outer_TNSS = root_TNS.unsqueeze(-1) * root_TNS.unsqueeze(-2)
    b_TNSS = outer_TNSS * now.gram_TSS.unsqueeze(1)
    b_TNSS.diagonal(dim1=-2, dim2=-1).add_(1)
    e_TNSS = outer_TNSS * torch.cholesky_inverse(torch.linalg.cholesky_ex(b_TNSS).L)
    row_sum_TNS = e_TNSS.sum(-1)
    e_gram_r_TNS = (e_TNSS @ down.gram_coef_TSN.mT.unsqueeze(-1)).squeeze(-1)
    upper_TSM = torch.cat([e_TNSS.sum(1), -row_sum_TNS.mT], -1)
    lower_TNM = torch.cat([-row_sum_TNS, torch.diag_embed(row_sum_TNS.sum(-1))], -1)
    system_TMM = torch.cat([upper_TSM, lower_TNM], -2)
    # The same constant added to g and to each u changes no probability: forbid it.
    system_TMM += system_TMM.diagonal(dim1=-2, dim2=-1).mean(-1).view(-1, 1, 1)
    right_TM = torch.cat([e_gram_r_TNS.sum(1), down.bias_TN - e_gram_r_TNS.sum(-1)], -1)
    root_TMM = torch.linalg.cholesky_ex(system_TMM).L
    solution_TM = torch.cholesky_solve(right_TM.unsqueeze(-1), root_TMM).squeeze(-1)
    n_support = now.gram_TSS.shape[-1]
    g_TS, u_TN = solution_TM[:, :n_support], solution_TM[:, n_support:]
    e_g_TNS = (e_TNSS @ g_TS[:, None, :, None]).squeeze(-1)
    e_f_TNS = e_gram_r_TNS + row_sum_TNS * u_TN.unsqueeze(-1) - e_g_TNS
    step_TSN = down.coef_TSN - e_f_TNS.mT
    step_logits_TSN = now.gram_TSS @ step_TSN + u_TN.unsqueeze(1)
    return _Step(step_TSN, u_TN, step_logits_TSN, now.hard_T)


def _search(now: _Problems, down: _Descent, c: float, step: _Step) -> _Problems:
    """Move each episode by the longest of 1, 1/2, 1/4, ... of its step that descends enough."""
    before_T = _objective(now, c)
    promised_T = _dot(down.gram_coef_TSN, step.coef_TSN) + _dot(down.bias_TN, step.bias_TN)
    length_T = torch.ones_like(before_T)
    for _ in range(MAX_HALVINGS):
        length_T11 = length_T.view(-1, 1, 1)
        moved = now._replace(
            coef_TSN=now.coef_TSN + length_T11 * step.coef_TSN,
            bias_TN=now.bias_TN + length_T11[:, 0] * step.bias_TN,
            logits_TSN=now.logits_TSN + length_T11 * step.logits_TSN,
            hard_T=step.hard_T,
            size_T=down.size_T,
        )
        enough_T = before_T - ARMIJO * length_T * promised_T + down.slack_T
        short_T = ~(_objective(moved, c) <= enough_T)  # true of nan too
        if not short_T.any():
            break
        length_T = torch.where(short_T, length_T / 2, length_T)
    # Sums of steps drift away from what they stand for: begin the next step without that error.
    logits_TSN = now.gram_TSS @ moved.coef_TSN + moved.bias_TN.unsqueeze(1)
    return moved._replace(logits_TSN=logits_TSN)


def _objective(now: _Problems, c: float) -> Tensor:
    penalty_T = _dot(now.coef_TSN, now.logits_TSN - now.bias_TN.unsqueeze(1)) / 2
    return penalty_T - c * _dot(now.target_TSN, now.logits_TSN.log_softmax(-1))


def _pick(tensors: tuple[Tensor, ...], mask_T: Tensor) -> tuple[Tensor, ...]:
    return tensors if mask_T.all() else tuple(x[mask_T] for x in tensors)


def _squares(now: _Problems) -> Tensor:
    """Return the squared lengths of the features, (T, S, 1)."""
    return now.gram_TSS.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)


def _centred(x_TN: Tensor) -> Tensor:
    """Return the bias without its mean: it changes no probability, but rounding lets it grow."""
    return x_TN - x_TN.mean(-1, keepdim=True)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
