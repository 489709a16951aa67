"""ResNet-12: how much DropBlock drops, in which shapes, and when; and the network around it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewshot.backbones.resnet12 import DropBlock, ResNet12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("side", "block"), [(4, 2), (2, 2), (10, 5), (5, 5), (1, 2)])
def test_dropblock_drops_about_its_rate_once_warm(
    side: int, block: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    drop = DropBlock(0.1, block, warmup=100)
    x = torch.ones(200, 50, side, side, dtype=dtype)
    drop.n_forwards.fill_(1000)
    out = drop(x)
    assert out.dtype == dtype
    # Blocks may overlap, so a little less than the rate; corners lie inside, so not uniform.
    assert 0.07 < (out == 0).double().mean().item() < 0.11
    assert abs(out.double().mean().item() - 1) < 0.01
    assert out.unique().numel() == 2


def test_dropblock_zeroes_whole_blocks() -> None:
    torch.manual_seed(0)
    drop = DropBlock(0.05, 3, warmup=0)
    zero = drop(torch.ones(50, 4, 9, 9)) == 0
    # Erosion followed by dilation with the block keeps exactly what is a union of blocks.
    corners = -F.max_pool2d(-zero.float(), 3, stride=1)
    union = F.max_pool2d(F.pad(corners, (2, 2, 2, 2)), 3, stride=1)
    assert zero.any()
    assert torch.equal(union.bool(), zero)


def test_dropblock_warms_up_linearly() -> None:
    torch.manual_seed(0)
    drop = DropBlock(0.2, 1, warmup=10)
    x = torch.ones(100, 100, 5, 5)
    dropped = [(drop(x) == 0).float().mean().item() for _ in range(20)]
    expected = [0.2 * min(step / 10, 1) for step in range(1, 21)]
    assert max(abs(a - b) for a, b in zip(dropped, expected, strict=True)) < 0.005


def test_dropblock_in_eval_mode_is_the_identity() -> None:
    drop = DropBlock(0.5, 2, warmup=0).eval()
    x = torch.randn(3, 2, 4, 4)
    assert drop(x) is x
    assert int(drop.n_forwards) == 0


def test_resnet12_without_drop_is_deterministic_and_has_no_state() -> None:
    backbone = ResNet12(ResNet12.Config(widths=(4, 6, 8, 10), drop_rate=0.0), 32)
    x = torch.randn(4, 3, 32, 32)
    assert torch.equal(backbone(x), backbone(x))
    assert not any(isinstance(m, nn.Dropout | DropBlock) for m in backbone.modules())


@pytest.mark.parametrize(("size", "block"), [(32, 2), (84, 5)])
def test_resnet12_block_sizes_follow_the_image(size: int, block: int) -> None:
    backbone = ResNet12(ResNet12.Config(widths=(4, 6, 8, 10)), size)
    drops = [module for module in backbone.modules() if isinstance(module, DropBlock)]
    assert [drop.block_size for drop in drops] == [block, block]
