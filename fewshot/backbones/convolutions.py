"""Ways to compute a backbone's convolutions, by the names that `recipe.convolutions` takes.

A way is an entry of `CONVOLUTIONS`: what it does to a backbone, and where it may do so. Runner,
estimates and commands ask here and know no way by name. (`Recipe` lists the names, and refuses
precisions at once, since it reads benchmark files without torch.)
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from fewshot.backbones.winograd import use_winograd
from fewshot.errors import UserError


class Convolutions(NamedTuple):
    """A way to compute convolutions.

    prepare: changes the layers of a backbone in place; raises UserError for a package that is
    missing. device: the one type of device that it is for; None: all. differentiates_twice: say
    whether inner loops can differentiate its gradients.
    """

    prepare: Callable[[nn.Module], None]
    device: str | None = None
    differentiates_twice: bool = True


CONVOLUTIONS = {
    "direct": Convolutions(lambda backbone: None),
    "winograd": Convolutions(use_winograd, device="cpu", differentiates_twice=False),
}
WITHOUT_BF16 = "precision = 'fp32' may be faster, convolutions = 'winograd' too"
"""Advice for a processor that emulates bfloat16."""


def prepare(backbone: nn.Module, way: str, learner: str, differentiable: bool) -> None:
    """Let a backbone compute its convolutions this way, for the learner of this name.

    Raises UserError for a way that does not differentiate twice where that is asked for, and for a
    package that is missing.
    """
    convolutions = CONVOLUTIONS[way]
    if differentiable and not convolutions.differentiates_twice:
        raise UserError(
            f"{learner}: convolutions = '{way}' is for other learners; gradient learners "
            "differentiate twice"
        )
    convolutions.prepare(backbone)


def check_device(way: str, device: torch.device, cell: str) -> None:
    """Raise UserError that names the cell unless this way is for such a device."""
    needed = CONVOLUTIONS[way].device
    if needed not in (None, device.type):
        raise UserError(f"{cell}: convolutions = '{way}' is for {needed.upper()}s")
