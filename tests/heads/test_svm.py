"""The support vector machine against optimality conditions, cvxpy, and finite differences."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fewshot.heads import support, svm

C, RIDGE = 0.1, 1.0
needs_cvxpy = pytest.mark.skipif(
    find_spec("cvxpy") is None, reason="cvxpy is in the environment `heads`"
)


def make(n_way=5, n_shot=5, n_features=16, norm=1.0, n_episodes=3, kind="plain"):
    """Overlapping classes. kind: `duplicated` support images, or all features `constant`."""
    g = torch.Generator().manual_seed(0)
    y_S = torch.arange(n_way).repeat_interleave(n_shot)
    centre = torch.randn(n_episodes, n_way, n_features, generator=g, dtype=torch.float64)
    noise = torch.randn(n_episodes, len(y_S), n_features, generator=g, dtype=torch.float64)
    z_TSD = norm * torch.nn.functional.normalize(centre[:, y_S] + noise, dim=-1)
    if kind == "duplicated":
        z_TSD[:, 1] = z_TSD[:, 0]
        z_TSD[:, -1] = z_TSD[:, 0]  # of another class
    if kind == "constant":
        z_TSD = torch.full_like(z_TSD, norm)
    return z_TSD, y_S.expand(n_episodes, -1)


cases = pytest.mark.parametrize(
    ("n_way", "n_shot", "norm", "kind"),
    [(n_way, n_shot, 1.0, "plain") for n_way in (5, 20) for n_shot in (1, 5, 15)]
    + [(5, 5, norm, kind) for norm in (0.01, 30.0, 1e3) for kind in ("plain", "duplicated")]
    + [(5, 5, 1.0, "duplicated"), (5, 5, 1.0, "constant"), (2, 3, 1.0, "plain")],
)


def primal_objective(alpha_SN: Tensor, gram_SS: Tensor, y_S: Tensor) -> Tensor:
    """With the weights and offsets that alpha stands for, the least sum of hinges they allow.

    The ridge is a kernel of its own: each support image has a feature that is its alone.
    """
    kernel_SS = gram_SS + RIDGE * torch.eye(len(y_S))
    scores_SN = kernel_SS @ alpha_SN
    target_SN = one_hot(y_S, alpha_SN.shape[1]).double()
    margins_SN = scores_SN - (scores_SN * target_SN).sum(1, keepdim=True) + 1 - target_SN
    hinge = margins_SN.amax(1).clamp(min=0).sum()
    return (alpha_SN * scores_SN).sum() / 2 + C * hinge


@cases
def test_alpha_is_feasible_and_primal_and_dual_meet(n_way, n_shot, norm, kind):
    z_TSD, y_TS = make(n_way, n_shot, norm=norm, kind=kind)
    dual = svm.fit(z_TSD, y_TS, n_way, C, RIDGE)
    for z_SD, y_S, alpha_SN in zip(z_TSD, y_TS, dual.alpha_TSN, strict=True):
        target_SN = one_hot(y_S, n_way).double()
        assert (alpha_SN <= C * target_SN + 1e-9).all()
        assert alpha_SN.sum(1).abs().max() < 1e-9
        gram_SS = z_SD @ z_SD.T
        quadratic = (alpha_SN * (gram_SS @ alpha_SN + RIDGE * alpha_SN)).sum() / 2
        dual_value = (target_SN * alpha_SN).sum() - quadratic
        primal = primal_objective(alpha_SN, gram_SS, y_S)
        assert primal.item() == pytest.approx(dual_value.item(), rel=1e-6, abs=1e-7)


@needs_cvxpy
@cases
def test_alpha_is_cvxpys(n_way, n_shot, norm, kind):
    import cvxpy

    z_TSD, y_TS = make(n_way, n_shot, norm=norm, kind=kind, n_episodes=1)
    root_DS, target_SN = z_TSD[0].T.numpy(), np.eye(n_way)[y_TS[0].numpy()]
    a = cvxpy.Variable(target_SN.shape)
    objective = (
        cvxpy.sum_squares(root_DS @ a) / 2
        + RIDGE * cvxpy.sum_squares(a) / 2
        - cvxpy.sum(cvxpy.multiply(target_SN, a))
    )
    problem = cvxpy.Problem(cvxpy.Minimize(objective), [a <= C * target_SN, cvxpy.sum(a, 1) == 0])
    # At 1e-10 Clarabel's own alpha is off by 4e-6 at 20 ways (its objective is 5e-11 above ours),
    # and comes nearer with its tolerance: 7e-7 at 1e-12, 2e-7 at 1e-13. It does not
    # reach that at norm 1000.
    tolerance = 1e-10 if norm > 100 else 1e-13
    tight = {f"tol_{name}": tolerance for name in ("gap_abs", "gap_rel", "feas")}
    problem.solve(solver=cvxpy.CLARABEL, **tight)
    assert np.abs(svm.fit(z_TSD, y_TS, n_way, C, RIDGE).alpha_TSN[0].numpy() - a.value).max() < 1e-6


@pytest.mark.parametrize(("n_way", "n_shot"), [(5, 1), (5, 5), (3, 4)])
def test_the_gradient_is_that_of_finite_differences(n_way, n_shot):
    z_TSD, y_TS = make(n_way, n_shot, 8, norm=3.0, n_episodes=2)
    g = torch.Generator().manual_seed(3)
    weigh = torch.randn(2, n_way * n_shot, n_way, generator=g, dtype=torch.float64)
    z_TSD.requires_grad_()

    def value(z: Tensor) -> Tensor:
        return (weigh * svm.fit(z, y_TS, n_way, C, RIDGE).alpha_TSN).sum()

    (slope_TSD,) = torch.autograd.grad(value(z_TSD), z_TSD)
    h = 1e-5
    for _ in range(5):
        direction = torch.randn(z_TSD.shape, generator=g, dtype=torch.float64)
        with torch.no_grad():
            change = (value(z_TSD + h * direction) - value(z_TSD - h * direction)) / (2 * h)
        assert change.item() == pytest.approx((slope_TSD * direction).sum().item(), rel=1e-5)


def test_episodes_in_chunks_and_alone_give_the_same(monkeypatch):
    z_TSD, y_TS = make(n_episodes=5)
    together = svm.fit(z_TSD, y_TS, 5).alpha_TSN
    monkeypatch.setattr(support, "CHUNK_BYTES", {"cpu": 1})
    assert torch.allclose(svm.fit(z_TSD, y_TS, 5).alpha_TSN, together, atol=1e-9)


def test_float32_features_are_solved_as_well():
    z_TSD, y_TS = make(norm=30.0)
    exact = svm.fit(z_TSD, y_TS, 5).alpha_TSN
    alpha_TSN = svm.fit(z_TSD.float(), y_TS, 5).alpha_TSN
    assert alpha_TSN.dtype == torch.float32
    assert (alpha_TSN - exact).abs().max() < 1e-5


def test_a_fixed_number_of_steps_is_taken_and_too_few_are_told():
    z_TSD, y_TS = make()
    assert svm.fit(z_TSD, y_TS, 5, fixed_steps=3).steps == 3
    with pytest.warns(RuntimeWarning, match="3 of 3 episodes did not converge in 2 steps"):
        svm.fit(1e3 * z_TSD, y_TS, 5, max_steps=2)


def test_what_is_no_number_is_refused_with_the_episode():
    z_TSD, y_TS = make()
    z_TSD[1, 3, 0] = float("inf")
    with pytest.raises(ValueError, match="features of episode 1 have a nan or an infinity"):
        svm.fit(z_TSD, y_TS, 5)
    with pytest.raises(ValueError, match="no support of class 4"):
        svm.fit(make()[0], y_TS.clamp(max=3), 5)


class LargestTensor(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that any operation made."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, Tensor)]
        self.numel = max([self.numel, *sizes])
        return out


def test_memory_is_that_of_kernels_and_alpha(monkeypatch):
    n_way, n_shot, n_episodes = 10, 3, 40
    z_TSD, y_TS = make(n_way, n_shot, 8, n_episodes=n_episodes)
    z_TSD.requires_grad_()
    n_support = n_way * n_shot
    three_episodes = {"cpu": 8 * 3 * n_way * n_support**2}
    monkeypatch.setattr(support, "CHUNK_BYTES", three_episodes)
    with LargestTensor() as largest:
        svm.fit(z_TSD, y_TS, n_way).alpha_TSN.square().sum().backward()
    assert n_episodes * n_support**2 <= largest.numel
    assert largest.numel <= n_episodes * n_support * (n_support + n_way)


@pytest.mark.parametrize("ulps", [0.0, 4.0])
@pytest.mark.parametrize("c", [0.1, 100.0])
@pytest.mark.parametrize("kind", ["plain", "duplicated"])
@pytest.mark.parametrize("norm", [1.0, 30.0, 1e3])
def test_every_order_of_summation_converges(monkeypatch, norm, kind, c, ulps):
    """Warnings are errors here. ulps: how far the solutions of linear systems are off besides."""
    g, plain = torch.Generator().manual_seed(0), svm._System.solve

    def solve(system, right_TSN):
        return tuple(
            x * (1 + ulps * 2.0**-52 * torch.randn(x.shape, generator=g, dtype=x.dtype))
            for x in plain(system, right_TSN)
        )

    monkeypatch.setattr(svm._System, "solve", solve)
    z_TSD, y_TS = make(5, 5, norm=norm, kind=kind, n_episodes=2)
    for _ in range(4):
        order_S, order_D = (torch.randperm(n, generator=g) for n in z_TSD.shape[1:])
        z_TSD, y_TS = z_TSD[:, order_S][..., order_D].contiguous(), y_TS[:, order_S]
        assert svm.fit(z_TSD, y_TS, 5, c, RIDGE).error_T.max() < 1e-6
