"""Outer gradients: engine against engine, against finite differences, and in parts."""

from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import product

import pytest
import torch
from helpers.episodes import SmallNet, SmoothNet, make_batch, relative_error
from torch import nn
from torch.func import functional_call

from fewshot.errors import UserError
from fewshot.learners.inner_loop.algebra import InnerLoop, attach_gradients
from fewshot.learners.inner_loop.engines import ENGINES
from fewshot.learners.inner_loop.engines.vmap import vmap

needs_learn2learn = pytest.mark.skipif(
    find_spec("learn2learn") is None, reason="learn2learn is in the environment `peers`"
)
others = pytest.mark.parametrize(
    "name",
    ["vmap", "higher", pytest.param("learn2learn", marks=needs_learn2learn)],
)
every_mode = pytest.mark.parametrize("batch_norm", ["support", "query", "running"])
# What learn2learn and higher import warns of things that are theirs.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")


@others
@every_mode
@pytest.mark.parametrize("steps", [1, 5, pytest.param(10, marks=pytest.mark.slow)])
def test_engines_agree(name, batch_norm, steps):
    net = SmallNet()
    for n_episodes, first_order, per_step in product((1, 4), (False, True), (False, True)):
        inner = InnerLoop(0.05, steps, first_order, batch_norm, per_step)
        batch = make_batch(n_episodes)
        reference, outer = ENGINES["loop"](net, batch, inner), ENGINES[name](net, batch, inner)
        assert relative_error(outer.gradients, reference.gradients) < 1e-9
        assert outer.loss == pytest.approx(reference.loss.item(), rel=1e-12)


@others
@pytest.mark.slow
@every_mode
@pytest.mark.parametrize("steps", [1, 5, 10])
def test_engines_agree_for_conv4_with_64_filters(name, batch_norm, steps):
    net, batch = SmallNet(32, 64), make_batch(4, 32, n_shot=5)
    inner = InnerLoop(0.05, steps, batch_norm=batch_norm)
    reference, outer = ENGINES["loop"](net, batch, inner), ENGINES[name](net, batch, inner)
    assert relative_error(outer.gradients, reference.gradients) < 1e-9


@every_mode
@pytest.mark.parametrize("engine", ["loop", "vmap"])
@pytest.mark.parametrize("per_step", [False, True])
def test_the_gradient_is_that_of_finite_differences(batch_norm, engine, per_step):
    net, batch = SmoothNet(), make_batch(2, 8)
    inner = InnerLoop(0.1, 3, batch_norm=batch_norm, per_step_losses=per_step)
    outer = ENGINES[engine](net, batch, inner)
    h = 1e-5
    for name, parameter in net.named_parameters():
        g = torch.Generator().manual_seed(0)
        direction = torch.randn(parameter.shape, generator=g, dtype=torch.float64)
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * h * direction)
            losses.append(ENGINES[engine](net, batch, inner).loss.item())
            with torch.no_grad():
                parameter.sub_(sign * h * direction)
        slope = (outer.gradients[name] * direction).sum().item()
        assert (losses[0] - losses[1]) / (2 * h) == pytest.approx(slope, rel=1e-5, abs=1e-9)


@every_mode
@pytest.mark.parametrize("engine", ["loop", "vmap"])
def test_checkpointing_and_micro_batches_change_nothing(batch_norm, engine):
    net, batch = SmallNet(), make_batch(5)
    inner = InnerLoop(0.05, 4, batch_norm=batch_norm, per_step_losses=True)
    reference = ENGINES[engine](net, batch, inner)
    ways = {
        "checkpointed": ENGINES[engine](net, batch, replace(inner, checkpoint=True)),
        "in parts": vmap(net, batch, inner, episodes_at_once=2),
    }
    for outer in ways.values():
        assert relative_error(outer.gradients, reference.gradients) < 1e-12
        for name, buffer in reference.buffers.items():
            assert torch.allclose(outer.buffers[name], buffer, rtol=1e-12, atol=1e-14)


def test_first_order_is_the_query_gradient_at_the_adapted_weights():
    net, batch = SmallNet(), make_batch(1)
    outer = ENGINES["loop"](net, batch, InnerLoop(0.05, 2, True, "query"))
    s, weights = batch.n_support, dict(net.named_parameters())
    x, y = batch.x_TMCHW[0], batch.y_TM[0]
    for _ in range(2):
        loss = nn.functional.cross_entropy(functional_call(net, weights, (x[:s],)), y[:s])
        slopes = torch.autograd.grad(loss, list(weights.values()))
        weights = {
            k: (w - 0.05 * g).detach().requires_grad_()
            for (k, w), g in zip(weights.items(), slopes, strict=True)
        }
    loss = nn.functional.cross_entropy(functional_call(net, weights, (x[s:],)), y[s:])
    slopes = torch.autograd.grad(loss, list(weights.values()))
    assert relative_error(outer.gradients, dict(zip(weights, slopes, strict=True))) < 1e-12


def test_vmap_over_pytorchs_batch_norm_would_be_wrong():
    """Why the suite brings its own: second-order gradients go wrong without a word."""

    def outer_gradient(norm, batched):
        net = SmallNet(norm=norm)
        start = {k: p.detach() for k, p in net.named_parameters()}
        batch = make_batch(3)
        s = batch.n_support
        grad = torch.func.grad

        def loss(weights, x, y):
            return nn.functional.cross_entropy(functional_call(net, weights, (x,)), y)

        def outer(weights, x, y):
            slopes = grad(loss)(weights, x[:s], y[:s])
            adapted = {k: w - 0.5 * slopes[k] for k, w in weights.items()}
            return loss(adapted, x[s:], y[s:])

        if batched:
            together = torch.vmap(outer, in_dims=(None, 0, 0))
            return grad(lambda weights: together(weights, *batch[:2]).mean())(start)
        each = [grad(outer)(start, x, y) for x, y in zip(*batch[:2], strict=True)]
        return {k: torch.stack([g[k] for g in each]).mean(0) for k in start}

    def error(norm):
        return relative_error(outer_gradient(norm, True), outer_gradient(norm, False))

    assert error(lambda c: nn.BatchNorm2d(c, track_running_stats=False)) > 1e-4

    class Stateless(nn.Module):  # the suite's, with its buffers left alone
        def __init__(self, c):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c))

        def forward(self, x):
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            scale = (self.weight * torch.rsqrt(var + 1e-5))[:, None, None]
            return (x - mean[:, None, None]) * scale + self.bias[:, None, None]

    assert error(Stateless) < 1e-12


def test_attached_gradients_reach_the_parameters_times_the_slope_of_what_follows():
    parameter = nn.Parameter(torch.ones(3))
    gradient = torch.tensor([1.0, 2.0, 3.0])
    loss = attach_gradients(torch.tensor(0.5), {"p": parameter}, {"p": gradient})
    (2 * loss).backward()
    assert loss.item() == 0.5
    assert torch.equal(parameter.grad, 2 * gradient)


@pytest.mark.skipif(find_spec("learn2learn") is not None, reason="learn2learn is here")
def test_asking_for_learn2learn_without_it_says_how_to_get_it():
    with pytest.raises(UserError, match="pip install learn2learn --use-pep517"):
        ENGINES["learn2learn"](SmallNet(), make_batch(1), InnerLoop(0.05, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recorded_graph_replays_the_engine():
    from fewshot.learners.inner_loop.engines.graphed import Graphed

    device, inner = torch.device("cuda"), InnerLoop(0.05, 3)
    net, batch = SmallNet().to(device), make_batch(4)
    engine = partial(vmap, net)
    moved = [t.to(device) for t in batch[:3]]
    graph = Graphed(lambda *t: engine(batch._replace(x_TMCHW=t[0], y_TM=t[1]), inner))
    for shift in (0.0, 1.0):
        moved[0] = moved[0] + shift
        plain = engine(batch._replace(x_TMCHW=moved[0], y_TM=moved[1]), inner)
        assert relative_error(graph(*moved).gradients, plain.gradients) < 1e-12
        with torch.no_grad():  # changed in place, as an optimizer does
            for parameter in net.parameters():
                parameter.mul_(1.1)
