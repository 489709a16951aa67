"""Backbones: sizes known from the literature, precision and memory layouts."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.learners import BACKBONES
from torch import Tensor, nn

from fewshot.backbones.conv4 import Conv4
from fewshot.backbones.resnet12 import ResNet12
from fewshot.errors import UserError
from fewshot.protocols import Backbone

SMALL: dict[str, Any] = {
    "conv4": Conv4.Config(filters=8),
    "resnet12": ResNet12.Config(widths=(4, 6, 8, 10)),
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    # Tensors this small gain nothing from threads, and lose much on a busy machine.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=sorted(BACKBONES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _small(name: str, image_size: int = 32) -> Backbone:
    torch.manual_seed(0)
    return BACKBONES[name](SMALL[name], image_size)


def _images(n_images: int, size: int = 32, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(
        n_images, 3, size, size, dtype=dtype, generator=torch.Generator().manual_seed(1)
    )


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_papers() -> None:
    assert _n_parameters(Conv4(Conv4.Config(), 84)) == 113_088
    assert _n_parameters(Conv4(Conv4.Config(filters=32), 84)) == 28_896
    assert _n_parameters(ResNet12(ResNet12.Config(), 84)) == 12_424_320
    tadam = ResNet12.Config(widths=(64, 128, 256, 512))
    assert _n_parameters(ResNet12(tadam, 84)) == 7_996_800


def test_out_dim_at_the_sizes_of_the_papers() -> None:
    assert Conv4(Conv4.Config(), 32).out_dim == 256
    assert Conv4(Conv4.Config(), 84).out_dim == 1600
    assert Conv4(Conv4.Config(filters=32), 84).out_dim == 800
    assert ResNet12(ResNet12.Config(), 32).out_dim == 640


@pytest.mark.parametrize("size", [16, 32, 84])
def test_out_dim_is_what_comes_out(name: str, size: int) -> None:
    backbone = _small(name, size)
    z = backbone(_images(2, size))
    assert z.shape == (2, backbone.out_dim)
    assert z.isfinite().all()


def test_an_image_too_small_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="15 px"):
        _small(name, 15)


def test_in_eval_mode_no_image_sees_another(name: str) -> None:
    backbone = _small(name)
    x = _images(5)
    backbone(x)
    backbone.eval()
    together = backbone(x)
    alone = torch.cat([backbone(x[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, together)
    assert torch.equal(backbone(x), together)


def test_a_gradient_reaches_every_parameter(name: str) -> None:
    backbone = _small(name).double()
    z = backbone(_images(8, dtype=torch.float64))
    weights = torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(2))
    (z * weights).sum().backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key
        # A bias before batch norm moves nothing, its gradient is zero but for rounding.
        assert key.endswith("conv.bias") or parameter.grad.abs().max() > 1e-8, key


def test_channels_last_gives_the_same(name: str) -> None:
    backbone = _small(name).eval()
    x = _images(4)
    plain = backbone(x)
    backbone.to(memory_format=torch.channels_last)
    torch.testing.assert_close(backbone(x.to(memory_format=torch.channels_last)), plain)
    torch.testing.assert_close(backbone(x), plain)


def test_float64_agrees_with_float32(name: str) -> None:
    backbone = _small(name).eval()
    x = _images(4)
    single = backbone(x)
    double = backbone.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=1e-3)


def test_trains_under_bfloat16_autocast(name: str) -> None:
    backbone = _small(name).to(memory_format=torch.channels_last)
    x = _images(8)
    exact = backbone.eval()(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = backbone(x)
        loss = backbone.train()(x).square().mean()
    # bfloat16 carries eight bits: 0.4 % a layer.
    assert (rounded - exact).norm() < 0.05 * exact.norm()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


def test_norm_replaces_every_batch_norm(name: str) -> None:
    made: list[int] = []

    def norm(channels: int) -> nn.Module:
        made.append(channels)
        return nn.GroupNorm(1, channels)

    backbone = BACKBONES[name](SMALL[name], 32, norm=norm)
    assert len(made) == {"conv4": 4, "resnet12": 16}[name]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    assert backbone(_images(2)).shape == (2, backbone.out_dim)


@pytest.mark.parametrize("size", [32, 21, 10, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_before_a_rectifier_changes_nothing(size: int, dtype: torch.dtype) -> None:
    x = torch.randn(4, 3, size, size).to(dtype)
    assert torch.equal(F.relu(F.max_pool2d(x, 2)), F.max_pool2d(F.relu(x), 2))
    assert torch.equal(F.leaky_relu(F.max_pool2d(x, 2), 0.1), F.max_pool2d(F.leaky_relu(x, 0.1), 2))


def test_conv4_is_the_textbook_block_four_times() -> None:
    backbone = Conv4(Conv4.Config(filters=8), 84)
    backbone(_images(6, 84))
    backbone.eval()
    x = expected = _images(3, 84)
    for block in backbone.blocks:
        conv, norm = block.get_submodule("conv"), block.get_submodule("norm")
        expected = F.max_pool2d(F.relu(norm(conv(expected))), 2)
    assert torch.equal(backbone(x), expected.flatten(1))


def test_the_counter_counts_training_forwards_and_is_saved() -> None:
    backbone = _small("resnet12")
    x = _images(2)
    for _ in range(3):
        backbone(x)
    backbone.eval()(x)
    counters = {k: v for k, v in backbone.state_dict().items() if k.endswith("n_forwards")}
    assert [int(count) for count in counters.values()] == [3, 3]
    resumed = _small("resnet12")
    resumed.load_state_dict(backbone.state_dict())
    torch.manual_seed(5)
    again = resumed.train()(x)
    torch.manual_seed(5)
    assert torch.equal(backbone.train()(x), again)
