"""The suite's batch norm against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from fewshot.backbones.norm import BatchNorm, Moments, Normalised


def pair() -> tuple[BatchNorm, nn.BatchNorm2d]:
    ours, theirs = BatchNorm(4).double(), nn.BatchNorm2d(4, momentum=1.0).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor([1.5, -0.7, 0.3, -2.0]))
        theirs.bias.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def images(n: int = 6) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return 2 + 3 * torch.randn(n, 4, 6, 6, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("training", [True, False])
def test_it_normalises_as_pytorchs(training):
    ours, theirs = pair()
    ours.train(training)
    theirs.train(training)
    x, same = images().requires_grad_(), images().requires_grad_()
    y, expected = ours(x), theirs(same)
    assert torch.allclose(y, expected, atol=1e-12)
    y.square().sum().backward()
    expected.square().sum().backward()
    assert torch.allclose(x.grad, same.grad, atol=1e-9)
    assert torch.allclose(ours.weight.grad, theirs.weight.grad)
    assert torch.allclose(ours.bias.grad, theirs.bias.grad)


def test_pooling_before_scaling_is_pooling_after_it():
    ours, theirs = pair()  # with negative scales, which turn maxima to minima
    x, same = images().requires_grad_(), images().requires_grad_()
    y, expected = ours.max_pooled(x), F.max_pool2d(theirs(same), 2)
    assert torch.allclose(y, expected, atol=1e-12)
    y.square().sum().backward()
    expected.square().sum().backward()
    assert torch.allclose(x.grad, same.grad, atol=1e-9)
    assert torch.allclose(ours.weight.grad, theirs.weight.grad)


def test_the_statistics_are_a_value_with_a_gradient_and_the_module_keeps_its_own():
    ours, theirs = pair()
    state = dict(ours.named_parameters()) | {
        k: b for k, b in ours.named_buffers() if b.is_floating_point()
    }
    x = images().requires_grad_()
    functional_call(ours, state, (x,), tie_weights=False)
    assert torch.allclose(state["running_mean"], x.mean((0, 2, 3)))
    assert torch.allclose(state["running_var"], x.var((0, 2, 3), correction=0))
    assert state["running_var"].requires_grad
    assert torch.equal(ours.running_mean, theirs.running_mean)


def test_derivatives_of_the_moments_are_those_of_finite_differences():
    x = images(2)[:, :, :2, :3].clone().requires_grad_()
    assert gradcheck(Moments.apply, (x,))
    assert gradgradcheck(Moments.apply, (x,))


def normalised_inputs(*shape):
    g = torch.Generator().manual_seed(0)
    x = 2 + 3 * torch.randn(shape, generator=g, dtype=torch.float64)
    weight, bias = torch.randn(2, *shape[:-4], shape[-3], generator=g, dtype=torch.float64)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), 1e-5


def test_derivatives_of_the_normalised_images_are_those_of_finite_differences():
    inputs = normalised_inputs(3, 2, 2, 3)
    assert gradcheck(Normalised.apply, inputs)
    assert gradgradcheck(Normalised.apply, inputs)


@pytest.mark.parametrize("used", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)])
def test_the_fused_gradient_is_the_one_that_can_be_differentiated_again(used):
    """Without `create_graph` PyTorch's own kernel computes it; the moments may be used or not."""
    inputs = normalised_inputs(5, 4, 3, 3)
    outputs = Normalised.apply(*inputs)
    loss = sum(u * (o**3).sum() for u, o in zip(used, outputs, strict=True) if u)
    again = torch.autograd.grad(loss, inputs[:3], create_graph=True, materialize_grads=True)
    once = torch.autograd.grad(loss, inputs[:3], materialize_grads=True)
    for a, b in zip(once, again, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shared", [False, True])
def test_episodes_side_by_side_are_normalised_each_by_its_own(shared):
    x, weight, bias, eps = normalised_inputs(3, 5, 4, 3, 3)
    weight, bias = (weight[0], bias[0]) if shared else (weight, bias)

    def loss(x, weight, bias):
        y, mean, var = Normalised.apply(x, weight, bias, eps)
        return (y**3).sum() + (mean * var).sum()

    dims = (0, None, None) if shared else (0, 0, 0)
    together = torch.vmap(torch.func.grad(loss, (0, 1, 2)), dims)(x, weight, bias)
    for t in range(3):
        parameters = (weight, bias) if shared else (weight[t], bias[t])
        alone = torch.autograd.grad(loss(x[t], *parameters), (x, *parameters))
        assert torch.allclose(together[0][t], alone[0][t])
        assert torch.allclose(together[1][t], alone[1])
        assert torch.allclose(together[2][t], alone[2])


def test_under_mixed_precision_the_sums_stay_float32():
    ours = BatchNorm(4)
    x = (100 + images(64)).to(torch.bfloat16)
    ours(x)
    assert ours.running_mean.dtype == torch.float32
    exact = x.double()
    assert torch.allclose(ours.running_mean.double(), exact.mean((0, 2, 3)), rtol=1e-4)
    assert torch.allclose(ours.running_var.double(), exact.var((0, 2, 3)), rtol=1e-2)
