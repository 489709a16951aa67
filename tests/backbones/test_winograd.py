"""Winograd's convolutions against PyTorch's: values, gradients, and which ones are replaced."""

import builtins
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewshot.backbones import winograd
from fewshot.backbones.conv4 import Conv4
from fewshot.backbones.resnet12 import ResNet12
from fewshot.backbones.winograd import Winograd, WinogradConv2d, matrices, tile_edge, use_winograd
from fewshot.errors import UserError

SIZES = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 9), (8, 8), (11, 4), (1, 6)]


def images(height, width, dtype, layout, channels=5):
    x_ICHW = torch.randn(3, channels, height, width, dtype=dtype)
    return x_ICHW.contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_one_dimensional_filter_is_the_sliding_sum(m):
    back, kernel, there = matrices(m)
    g, d = np.random.default_rng(m).normal(size=(2, m + 2))
    expected = np.correlate(d, g[:3], mode="valid")
    np.testing.assert_allclose(back @ ((kernel @ g[:3]) * (there @ d)), expected, atol=1e-13)


def test_tiles_of_two_are_those_of_the_paper():
    # Lavin and Gray (2016), equation 5, up to signs that cancel.
    back, kernel, there = matrices(2)
    assert (np.abs(back) == [[1, 1, 1, 0], [0, 1, 1, 1]]).all()
    product = np.einsum("mp,pk,pd->mkd", back, kernel, there)
    assert (product == [np.eye(3, 4, k=i) for i in range(2)]).all()


@pytest.mark.parametrize(
    ("size", "m"), [(32, 4), (16, 4), (8, 4), (4, 4), (24, 4), (12, 4), (6, 3), (3, 3), (2, 2)]
)
def test_tiles_that_leave_the_least_over_are_taken(size, m):
    assert tile_edge(size, size) == m


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_values_and_gradients_are_those_of_the_sum(height, width, layout):
    torch.manual_seed(0)
    x = images(height, width, torch.float64, layout)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64)
    weight = weight.contiguous(memory_format=layout).requires_grad_()
    y, expected = Winograd.apply(x, weight), F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    grad = torch.randn_like(expected)
    found = torch.autograd.grad(y, (x, weight), grad)
    for one, other in zip(found, torch.autograd.grad(expected, (x, weight), grad), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [2, 3, 4, 8])
def test_float32_rounds_by_1e_5_of_the_largest_value(side):
    torch.manual_seed(1)
    x = images(side, side, torch.float32, torch.channels_last, channels=160)
    weight = torch.randn(64, 160, 3, 3, requires_grad=True)
    exact_x, exact_weight = (t.detach().double().requires_grad_() for t in (x, weight))
    exact = F.conv2d(exact_x, exact_weight, padding=1)
    y = Winograd.apply(x, weight)
    pairs = [(y, exact)]
    grad = torch.randn_like(y)
    pairs += zip(
        torch.autograd.grad(y, (x, weight), grad),
        torch.autograd.grad(exact, (exact_x, exact_weight), grad.double()),
        strict=True,
    )
    for found, expected in pairs:
        # Measured: up to 1.7e-5, with tiles of 4 pixels.
        assert (found - expected).abs().max() < 5e-5 * expected.abs().max()


def test_a_gradient_in_another_layout_is_understood():
    x = images(4, 4, torch.float64, torch.channels_last)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    ones = torch.ones((), dtype=torch.float64).expand(3, 7, 4, 4)  # strides of zero, as of sum()
    found = torch.autograd.grad(Winograd.apply(x, weight), x, ones)[0]
    expected = torch.autograd.grad(F.conv2d(x, weight, padding=1), x, ones)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_its_gradient_is_not_differentiated_silently():
    x = images(4, 4, torch.float64, torch.channels_last)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(Winograd.apply(x, weight).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("cls", [Conv4, ResNet12])
def test_a_backbone_keeps_its_weights_and_its_features(cls):
    torch.manual_seed(0)
    backbone = cls(cls.Config(), 32).eval().to(memory_format=torch.channels_last)
    x_ICHW = torch.randn(4, 3, 32, 32)
    before, weights = backbone(x_ICHW), dict(backbone.named_parameters())
    use_winograd(backbone)
    assert any(isinstance(m, WinogradConv2d) for m in backbone.modules())
    after = dict(backbone.named_parameters())
    assert list(after) == list(weights)
    assert all(after[name] is weights[name] for name in weights)
    # 1e-5 a layer, and up to twelve of them.
    torch.testing.assert_close(backbone(x_ICHW), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 64, 3, padding=1, bias=False),  # too few channels to pay
        nn.Conv2d(64, 64, 1, bias=False),
        nn.Conv2d(64, 64, 3, bias=False),
        nn.Conv2d(64, 64, 3, padding=1, stride=2, bias=False),
        nn.Conv2d(64, 64, 3, padding=1, dilation=2, bias=False),
        nn.Conv2d(64, 64, 3, padding=1, groups=2, bias=False),
        nn.Conv2d(64, 64, 3, padding=1, bias=False, padding_mode="reflect"),
    ],
)
def test_other_convolutions_stay(convolution):
    module = nn.Sequential(convolution)
    use_winograd(module)
    assert module[0] is convolution


def test_the_number_of_threads_stays_as_it_is():
    """numba and PyTorch may share one OpenMP. Numba starts threads once: a process of its own."""
    script = """
import torch
torch.set_num_threads(1)
from fewshot.backbones.winograd import Winograd
Winograd.apply(torch.randn(2, 40, 8, 8), torch.randn(40, 40, 3, 3))
print(torch.get_num_threads())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "1"


def test_without_numba_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def no_numba(name, *args, **kwargs):
        if name == "numba":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_numba)
    winograd._kernel.cache_clear()
    with pytest.raises(UserError, match="fewshot\\[winograd\\]"):
        use_winograd(nn.Sequential())
    winograd._kernel.cache_clear()
