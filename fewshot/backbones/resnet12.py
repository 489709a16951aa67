"""ResNet-12, the backbone of MetaOptNet, RFS and the bridging paper, with DropBlock."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot.errors import UserError
from fewshot.protocols import Backbone

LEAK = 0.1


class ResNet12(Backbone):
    """Four residual stages of three convolutions each, then a global average pool.

    "Meta-Learning with Differentiable Convex Optimization" (Lee et al., 2019), with the average
    pool of "Rethinking Few-Shot Image Classification" (Tian et al., 2020), which is also the body
    of "Bridging Multi-Task Learning and Meta-Learning" (Wang et al., 2021).

    Stages 1 and 2 end with dropout of elements, stages 3 and 4 with `DropBlock`.
    `norm` makes the normalisation layer of a channel count. 12,424,320 parameters with the
    widths 64-160-320-640; D is the last width.
    """

    @dataclass(frozen=True)
    class Config:
        """The options of ResNet-12.

        widths: channels of the four stages. drop_rate: of dropout and DropBlock; 0 is neither.
        dropblock_size: side of a dropped block; None is 2 up to 32x32 pixels and 5 above.
        dropblock_warmup: training forwards over which DropBlock's rate rises to drop_rate.
        """

        widths: tuple[int, ...] = (64, 160, 320, 640)
        drop_rate: float = 0.1
        dropblock_size: int | None = None
        dropblock_warmup: int = 40_000

    def __init__(
        self, config: Config, image_size: int, *, norm: Callable[[int], nn.Module] = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        n_stages = len(config.widths)
        if image_size < 2**n_stages:
            raise UserError(f"resnet12 halves images {n_stages} times: {image_size} px is too few")
        self.config = config
        self.out_dim = config.widths[-1]
        block_size = config.dropblock_size or (2 if image_size <= 32 else 5)
        stages: list[nn.Module] = []
        rate = config.drop_rate
        for i, (c_in, c_out) in enumerate(pairwise((3, *config.widths))):
            stages.append(_Stage(c_in, c_out, norm))
            if rate > 0:
                blocks = DropBlock(rate, block_size, config.dropblock_warmup)
                stages.append(nn.Dropout(rate) if i < 2 else blocks)
        self.stages = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # As the reference: the gain is that of ReLU, the leak is not passed on.
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")

    def forward(self, x_ICHW: Tensor) -> Tensor:
        z: Tensor = self.stages(x_ICHW)
        return z.mean((2, 3))


class _Stage(nn.Module):
    """Three convolutions beside a 1x1 shortcut, then a 2x2 max-pool."""

    def __init__(self, c_in: int, c_out: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.norm1 = norm(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.norm2 = norm(c_out)
        self.conv3 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.norm3 = norm(c_out)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.shortcut_norm = norm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        z = F.leaky_relu(self.norm1(self.conv1(x)), LEAK)
        z = F.leaky_relu(self.norm2(self.conv2(z)), LEAK)
        z = self.norm3(self.conv3(z)) + self.shortcut_norm(self.shortcut(x))
        # The leaky ReLU is monotone: pooling first gives the same numbers for less work.
        return F.leaky_relu(F.max_pool2d(z, 2), LEAK)


class DropBlock(nn.Module):
    """Zeroes square blocks of each feature map while training, and rescales what is left.

    "DropBlock: A regularization method for convolutional networks" (Ghiasi et al., 2018), in
    the form of Lee et al. (2019): the rate rises linearly from 0 to `rate` over `warmup` steps.

    A deviation: the reference counts every forward, evaluation included, in a number that is
    lost on resume; here `n_forwards` counts training forwards alone and is a buffer, so that
    checkpoints keep it and the length of validation changes nothing.
    """

    n_forwards: Tensor

    def __init__(self, rate: float, block_size: int, warmup: int) -> None:
        super().__init__()
        self.rate, self.block_size, self.warmup = rate, block_size, warmup
        self.register_buffer("n_forwards", torch.zeros((), dtype=torch.int64))

    def forward(self, x_ICHW: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x_ICHW
        self.n_forwards += 1
        # Everything stays a tensor: reading the counter would make a GPU wait.
        rate = self.rate * (self.n_forwards / max(self.warmup, 1)).clamp(max=1)
        height, width = x_ICHW.shape[2:]
        side = min(self.block_size, height, width)
        n_rows, n_columns = height - side + 1, width - side + 1
        gamma = rate / side**2 * (height * width) / (n_rows * n_columns)
        corners = torch.rand(*x_ICHW.shape[:2], n_rows, n_columns, device=x_ICHW.device) < gamma
        # A corner drops the block below and to the right of it.
        reach = side - 1
        padded = F.pad(corners.to(x_ICHW.dtype), (reach, reach, reach, reach))
        kept = 1 - F.max_pool2d(padded, side, stride=1)
        scale = kept.numel() / kept.sum(dtype=torch.float32).clamp(min=1)
        return x_ICHW * kept * scale.to(x_ICHW.dtype)
