"""Conv4, the four-block convolutional backbone of the first few-shot papers."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from fewshot.backbones.norm import BatchNorm
from fewshot.errors import UserError
from fewshot.protocols import Backbone

N_BLOCKS = 4


class Conv4(Backbone):
    """Four blocks of conv3x3, batch norm, ReLU and 2x2 max-pool; the output is flattened.

    "Matching Networks for One Shot Learning" (Vinyals et al., 2016); with 64 filters as in
    "Prototypical Networks for Few-shot Learning" (Snell et al., 2017), with 32 as in
    "Model-Agnostic Meta-Learning" (Finn et al., 2017). Weights start as PyTorch's defaults.

    `norm` makes the normalisation layer of a channel count. Parameters: 113,088 with 64 filters,
    28,896 with 32. D = filters * (image_size // 16) ** 2: with 64 filters 256 at 32x32 pixels and
    1600 at 84x84.
    """

    @dataclass(frozen=True)
    class Config:
        """The options of Conv4; `filters` are the channels of each block."""

        filters: int = 64

    def __init__(
        self, config: Config, image_size: int, *, norm: Callable[[int], nn.Module] = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        side = image_size // 2**N_BLOCKS
        if side == 0:
            raise UserError(f"conv4 halves images {N_BLOCKS} times: {image_size} px is too small")
        self.config = config
        self.out_dim = config.filters * side**2
        widths = [3] + [config.filters] * N_BLOCKS
        self.blocks = nn.Sequential(*(_Block(*pair, norm) for pair in pairwise(widths)))

    def forward(self, x_ICHW: Tensor) -> Tensor:
        z: Tensor = self.blocks(x_ICHW)
        return z.flatten(1)


class _Block(nn.Module):
    def __init__(self, c_in: int, c_out: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm = norm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        # ReLU is monotone, so pooling first gives the same numbers with a quarter of the ReLUs.
        if isinstance(self.norm, BatchNorm):
            return F.relu(self.norm.max_pooled(x))
        return F.relu(F.max_pool2d(self.norm(x), 2))
