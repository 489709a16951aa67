"""Multi-class support vector machines by their dual, for a whole batch of episodes at once.

Axes: T episodes, N way, S support images, Q query images, D features.

The dual of Crammer and Singer (2001), as in "Meta-Learning with Differentiable Convex
Optimization" (Lee et al., 2019), is, for the kernel K of an episode's support and its one-hot
labels Y,

    min over a_SN of  1/2 sum over m of a_m' (K + ridge I) a_m - sum of Y a
    with a <= c Y, and for each image the sum over classes of a = 0.

A primal-dual interior point method (Mehrotra, 1992) solves it. Its Newton system couples the
classes through the S equality constraints alone: with B = K + ridge I and d_m the ratio of
multiplier to slack, each class has a matrix B + diag(d_m) of side S, and their inverses add up to
one more. So a step costs N + 1 factorisations of side S, in place of one of side N S.

The solution is differentiable in the kernel through the optimality conditions, solved once more
for the entries that are not at their bound: nothing is unrolled.
"""

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fewshot.heads.support import at_least_float32, check_finite, check_labels, chunks, first

STEP = 0.995  # of the way to the nearest bound
EXACT_ROUNDS = 4
CLOSER = 1e-3  # nearer by as much where the free entries cannot be told yet, at most twice
SLIP = 1e-13  # beyond a bound, or of a multiplier below 0, in their units, that is rounding
LARGEST_RATIO = 1e14  # of multiplier to slack: beyond it an entry is at its bound


class Dual(NamedTuple):
    """The solution alpha_TSN, and the interior point steps that were taken.

    error_T: its duality gap, or how far the optimality conditions are off, relative to the largest
    term in them, where that is more.
    """

    alpha_TSN: Tensor
    error_T: Tensor
    steps: int


def fit(
    support_z_TSD: Tensor,
    support_y_TS: Tensor,
    n_way: int,
    c: float = 0.1,
    ridge: float = 1.0,
    tolerance: float = 1e-6,
    max_steps: int = 40,
    fixed_steps: int | None = None,
) -> Dual:
    """Return the dual solution of each episode with a linear kernel; alpha is differentiable in z.

    tolerance: on `Dual.error_T`, at which the entries at their bound are told from the free ones,
    and the rest is solved exactly. fixed_steps: take as many, and no exact solution (Lee et al.
    took 15 in training and 3 at test, of another solver). Memory is that of the kernels and of
    alpha, O(T S (S + N)), and `CHUNK_BYTES`, or N S^2 numbers where one episode needs more.
    Solved in float64 whatever the features are, and returned in their type, at least float32.
    Warns, with how many, of episodes that did not converge.

    Raises ValueError for a nan or an infinity (names the episode), for a class without support
    and for labels outside 0 .. n_way-1.
    """
    check_finite(support_z_TSD)
    check_labels(support_y_TS, n_way)
    z_TSD = at_least_float32(support_z_TSD)
    with torch.autocast(z_TSD.device.type, enabled=False):
        wide_TSD = z_TSD.double()
        alpha_TSN, error_T, steps = _Solution.apply(
            wide_TSD @ wide_TSD.mT,
            one_hot(support_y_TS.long(), n_way).double(),
            (c, ridge, tolerance, max_steps, fixed_steps),
        )
    lost_T = ~(error_T <= tolerance)
    if fixed_steps is None and lost_T.any():
        warnings.warn(
            f"support vector machine: {int(lost_T.sum())} of {len(lost_T)} episodes did not "
            f"converge in {max_steps} steps, the first is {first(lost_T)}",
            RuntimeWarning,
            stacklevel=2,
        )
    return Dual(alpha_TSN.to(z_TSD.dtype), error_T, steps)


def weights(support_z_TSD: Tensor, alpha_TSN: Tensor) -> Tensor:
    """Return weights_TDN = sum over s of z_s alpha_s, at least float32."""
    with torch.autocast(support_z_TSD.device.type, enabled=False):
        return at_least_float32(support_z_TSD).mT @ alpha_TSN


Options = tuple[float, float, float, int, int | None]


class _Solution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kernel_TSS: Tensor, target_TSN: Tensor, options: Options
    ) -> tuple[Tensor, Tensor, int]:
        n_episodes, n_support, n_way = target_TSN.shape
        # The inverses of a chunk live while a step is taken, and no longer.
        slices = list(chunks(n_episodes, 8 * n_way * n_support**2, kernel_TSS.device))
        parts = [_interior_point(kernel_TSS[i], target_TSN[i], options) for i in slices]
        alphas, ratios, errors, steps = zip(*parts, strict=True)
        alpha_TSN, ratio_TSN, error_T = torch.cat(alphas), torch.cat(ratios), torch.cat(errors)
        ctx.save_for_backward(kernel_TSS, alpha_TSN, ratio_TSN)
        ctx.ridge, ctx.slices = options[1], slices
        ctx.mark_non_differentiable(error_T)
        return alpha_TSN, error_T, max(steps)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_TSN: Tensor, *unused: Any) -> tuple[Tensor, None, None]:
        """Return G grad, with G the map from a disturbance of the conditions to alpha's change.

        A change dK of the kernel disturbs them by -dK alpha, and G is symmetric.
        """
        kernel_TSS, alpha_TSN, ratio_TSN = ctx.saved_tensors
        out = []
        for part in ctx.slices:
            system = _System.of(kernel_TSS[part], ratio_TSN[part], ctx.ridge)
            moved_TSN, _ = system.solve(grad_TSN[part])
            out.append(-(moved_TSN @ alpha_TSN[part].mT))
        grad_TSS = torch.cat(out)
        return (grad_TSS + grad_TSS.mT) / 2, None, None


class _System(NamedTuple):
    """The inverses of B + diag(d_m) for each class, and of their sum."""

    inverse_TNSS: Tensor
    factor_TSS: Tensor

    @staticmethod
    def of(kernel_TSS: Tensor, ratio_TSN: Tensor, ridge: float) -> "_System":
        diagonal_TNS = ratio_TSN.mT + ridge
        matrix_TNSS = kernel_TSS.unsqueeze(1) + torch.diag_embed(diagonal_TNS)
        inverse_TNSS = torch.cholesky_inverse(torch.linalg.cholesky(matrix_TNSS))
        return _System(inverse_TNSS, torch.linalg.cholesky(inverse_TNSS.sum(1)))

    def solve(self, right_TSN: Tensor) -> tuple[Tensor, Tensor]:
        """Return X and v with (B + diag(d_m)) x_m + v = right_m; the sum of x over classes is 0."""
        free_TSN = self._each(right_TSN)
        shared_TS1 = torch.cholesky_solve(free_TSN.sum(-1, keepdim=True), self.factor_TSS)
        return self._each(right_TSN - shared_TS1), shared_TS1

    def _each(self, right_TSN: Tensor) -> Tensor:
        return (self.inverse_TNSS @ right_TSN.mT.unsqueeze(-1)).squeeze(-1).mT


class _Point(NamedTuple):
    """Alpha, its slack to the bound, and the multipliers of bound (force) and sum (shared)."""

    alpha_TSN: Tensor
    slack_TSN: Tensor
    force_TSN: Tensor
    shared_TS1: Tensor

    def moved(self, direction: "_Point", reach_T11: Tensor) -> "_Point":
        return _Point(*(x + reach_T11 * d for x, d in zip(self, direction, strict=True)))

    def ratio(self) -> Tensor:
        return (self.force_TSN / self.slack_TSN).clamp(max=LARGEST_RATIO)


def _interior_point(
    kernel_TSS: Tensor, target_TSN: Tensor, options: Options
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return alpha, the ratio of multipliers to slacks, the error, and the number of steps."""
    c, ridge, tolerance, max_steps, fixed_steps = options

    def residual(point: _Point) -> Tensor:
        """Return how far stationarity is off."""
        slope_TSN = kernel_TSS @ point.alpha_TSN + ridge * point.alpha_TSN - target_TSN
        return slope_TSN + point.force_TSN + point.shared_TS1

    term_T = 1 + c * kernel_TSS.abs().amax((1, 2))

    def error(point: _Point) -> Tensor:
        gap_T = (point.slack_TSN * point.force_TSN).sum((1, 2))
        return torch.maximum(gap_T, residual(point).abs().amax((1, 2)) / term_T)

    def moved(point: _Point, going_T: Tensor) -> _Point:
        """Return the next point; episodes that are done stand still."""
        system = _System.of(kernel_TSS, point.ratio(), ridge)
        direction = _corrected_direction(point, system, residual(point))
        reach_T11 = STEP * _reach(point, direction)
        return point.moved(direction, torch.where(going_T[:, None, None], reach_T11, 0.0))

    point = _start(c, target_TSN)
    if fixed_steps is not None:
        for _ in range(fixed_steps):
            point = moved(point, error(point) > tolerance)
        return point.alpha_TSN, point.ratio(), error(point), fixed_steps

    taken = 0
    sound_T = torch.zeros_like(term_T, dtype=torch.bool)
    for aim in (tolerance, CLOSER * tolerance, CLOSER**2 * tolerance):
        while taken < max_steps and (going_T := ~sound_T & (error(point) > aim)).any():
            point, taken = moved(point, going_T), taken + 1
        exact = _exact(kernel_TSS, target_TSN, point, c, ridge, term_T)
        sound_T = exact.sound_T & (exact.error_T <= tolerance)
        if sound_T.all() or taken == max_steps:
            break
    sound_T11 = sound_T[:, None, None]
    return (
        torch.where(sound_T11, exact.alpha_TSN, point.alpha_TSN),
        torch.where(sound_T11, exact.ratio_TSN, point.ratio()),
        torch.where(sound_T, exact.error_T, error(point)),
        taken,
    )


class _Exact(NamedTuple):
    """A solution: alpha, its ratios of multiplier to slack (0 or the largest), the residual that
    is left, and for each episode if every entry is on the right side.
    """

    alpha_TSN: Tensor
    ratio_TSN: Tensor
    error_T: Tensor
    sound_T: Tensor


def _exact(
    kernel_TSS: Tensor,
    target_TSN: Tensor,
    point: _Point,
    c: float,
    ridge: float,
    term_T: Tensor,
) -> _Exact:
    """Return the solution with entries held at their bound, or free, as `point` has them.

    An entry that comes out on the wrong side changes sides, and again, a few times.
    """
    slip_T11 = SLIP * term_T[:, None, None]
    # Free entries of alpha are of the size of the bound, or of a label over the kernel if less.
    ratio_T = kernel_TSS.abs().amax((1, 2)).clamp(min=1 / c)
    bound_TSN, alpha_TSN = c * target_TSN, point.alpha_TSN
    at_bound_TSN = point.ratio() > ratio_T[:, None, None]
    for _ in range(EXACT_ROUNDS):
        ratio_TSN = torch.where(at_bound_TSN, LARGEST_RATIO, 0.0).to(alpha_TSN.dtype)
        system = _System.of(kernel_TSS, ratio_TSN, ridge)
        slope_TSN = kernel_TSS @ alpha_TSN + ridge * alpha_TSN - target_TSN
        step_TSN, shared_TS1 = system.solve(-slope_TSN - ratio_TSN * (alpha_TSN - bound_TSN))
        alpha_TSN = torch.where(at_bound_TSN, bound_TSN, alpha_TSN + step_TSN)
        slope_TSN = kernel_TSS @ alpha_TSN + ridge * alpha_TSN - target_TSN
        force_TSN = -slope_TSN - shared_TS1
        wrong_TSN = torch.where(
            at_bound_TSN, force_TSN < -slip_T11, alpha_TSN > bound_TSN + c * SLIP
        )
        if not wrong_TSN.any():
            break
        at_bound_TSN = at_bound_TSN ^ wrong_TSN
    residual_T = torch.where(ratio_TSN > 0, 0.0, force_TSN).abs().amax((1, 2)) / term_T
    error_T = torch.maximum(residual_T, alpha_TSN.sum(2).abs().amax(1) / c)
    return _Exact(alpha_TSN, ratio_TSN, error_T, ~wrong_TSN.flatten(1).any(1))


def _start(c: float, target_TSN: Tensor) -> _Point:
    """Return a point strictly inside: c / 2 for the right class, shared by the others."""
    n_way = target_TSN.shape[-1]
    alpha_TSN = c / 2 * (target_TSN - (1 - target_TSN) / (n_way - 1))
    force_TSN = torch.ones_like(alpha_TSN)
    return _Point(alpha_TSN, c * target_TSN - alpha_TSN, force_TSN, 0 * alpha_TSN[..., :1])


def _corrected_direction(point: _Point, system: _System, residual_TSN: Tensor) -> _Point:
    """Return Mehrotra's direction: a step to the boundary tells how much to keep to the centre."""
    mean_T11 = (point.slack_TSN * point.force_TSN).mean((1, 2), keepdim=True)
    ahead = _direction(point, system, residual_TSN, torch.zeros_like(mean_T11))
    end = point.moved(ahead, _reach(point, ahead))
    end_mean_T11 = (end.slack_TSN * end.force_TSN).mean((1, 2), keepdim=True)
    centre_T11 = mean_T11 * (end_mean_T11 / mean_T11) ** 3
    return _direction(point, system, residual_TSN, centre_T11 - ahead.slack_TSN * ahead.force_TSN)


def _direction(point: _Point, system: _System, residual_TSN: Tensor, product_TSN: Tensor) -> _Point:
    """Return Newton's step to where slack * force is `product_TSN`."""
    _, slack_TSN, force_TSN, _ = point
    step_TSN, step_TS1 = system.solve(force_TSN - residual_TSN - product_TSN / slack_TSN)
    push_TSN = (product_TSN + force_TSN * (step_TSN - slack_TSN)) / slack_TSN
    return _Point(step_TSN, -step_TSN, push_TSN, step_TS1)


def _reach(point: _Point, direction: _Point) -> Tensor:
    """Return the largest step up to 1 that leaves slacks and forces positive, for each episode."""
    fastest = torch.maximum(
        -direction.slack_TSN / point.slack_TSN, -direction.force_TSN / point.force_TSN
    )
    return 1 / fastest.amax((1, 2), keepdim=True).clamp(min=1.0)
