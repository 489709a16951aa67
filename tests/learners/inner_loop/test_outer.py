"""Outer gradients: against finite differences, in parts, to first order, and attached."""

from dataclasses import replace

import pytest
import torch
from helpers.episodes import SmallNet, SmoothNet, make_batch, relative_error
from torch import nn
from torch.func import functional_call

from fewshot.learners.inner_loop.algebra import InnerLoop
from fewshot.learners.inner_loop.engines import ENGINES
from fewshot.learners.inner_loop.engines.own import vmap
from fewshot.learners.inner_loop.outer import attach_gradients

every_mode = pytest.mark.parametrize("batch_norm", ["support", "query", "running"])


# What learn2learn and higher import warns of things that are theirs.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")


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
        "in parts": vmap(net, batch, replace(inner, episodes_at_once=2)),
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


def test_attached_gradients_reach_the_parameters_times_the_slope_of_what_follows():
    parameter = nn.Parameter(torch.ones(3))
    gradient = torch.tensor([1.0, 2.0, 3.0])
    loss = attach_gradients(torch.tensor(0.5), {"p": parameter}, {"p": gradient})
    (2 * loss).backward()
    assert loss.item() == 0.5
    assert torch.equal(parameter.grad, 2 * gradient)
