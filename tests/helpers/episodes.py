"""Small nets and episodes in float64 for the tests of the inner loop."""

import torch
from torch import Tensor, nn

from fewshot.backbones.conv4 import Conv4
from fewshot.backbones.norm import BatchNorm
from fewshot.protocols import EpisodeBatch

N_WAY = 5


class SmallNet(nn.Module):
    """Convolutions with the suite's batch norm and a linear head."""

    def __init__(self, image_size: int = 16, filters: int = 6, norm=BatchNorm) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = Conv4(Conv4.Config(filters), image_size, norm=norm)
        self.head = nn.Linear(self.backbone.out_dim, N_WAY)
        with torch.no_grad():  # negative scales too, which pooling before scaling must get right
            for name, parameter in self.named_parameters():
                if name.endswith("norm.weight"):
                    parameter.copy_(torch.randn_like(parameter))
        self.double()

    def forward(self, x_ICHW: Tensor) -> Tensor:
        return self.head(self.backbone(x_ICHW))


class SmoothNet(nn.Module):
    """No kinks: finite differences see the true derivative."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 2, 3), BatchNorm(2), nn.Softplus(), nn.Flatten(), nn.Linear(2 * 36, N_WAY)
        )
        self.double()

    def forward(self, x_ICHW: Tensor) -> Tensor:
        return self.layers(x_ICHW)


def make_batch(n_episodes: int, image_size: int = 16, n_shot: int = 2, n_query: int = 3):
    """Random images, labels in order; support first."""
    g = torch.Generator().manual_seed(1)
    y_TM = torch.arange(N_WAY).repeat(n_shot + n_query).expand(n_episodes, -1).contiguous()
    x = torch.randn(*y_TM.shape, 3, image_size, image_size, generator=g, dtype=torch.float64)
    return EpisodeBatch(x, y_TM, y_TM[:, :N_WAY], N_WAY * n_shot)


def relative_error(gradients, reference) -> float:
    """Of the whole gradient: convolution biases before batch norm have none, but for rounding."""
    flat = [torch.cat([g[k].flatten() for k in reference]) for g in (gradients, reference)]
    return float((flat[0] - flat[1]).norm() / flat[1].norm())
