"""Ways to compute a backbone's convolutions, by the names that `recipe.convolutions` takes.

`direct` is PyTorch's own way. `winograd` is for CPUs, and its gradients cannot be differentiated.
Runner, estimates and commands ask here. (`Recipe` lists the names, and refuses precisions at once,
since it reads benchmark files without torch.)
"""

import torch
from torch import nn

from fewshot.backbones.winograd import use_winograd
from fewshot.errors import UserError

WITHOUT_BF16 = "precision = 'fp32' may be faster, convolutions = 'winograd' too"
"""Advice for a processor that emulates bfloat16."""


def prepare(backbone: nn.Module, way: str, learner: str, differentiable: bool) -> None:
    """Let a backbone compute its convolutions this way, for the learner of this name.

    Raises UserError for a way that does not differentiate twice where that is asked for, and for a
    package that is missing.
    """
    if way == "direct":
        return
    if differentiable:
        raise UserError(
            f"{learner}: convolutions = '{way}' is for other learners; gradient learners "
            "differentiate twice"
        )
    use_winograd(backbone)


def check_device(way: str, device: torch.device, cell: str) -> None:
    """Raise UserError that names the cell unless this way is for such a device."""
    if way == "winograd" and device.type != "cpu":
        raise UserError(f"{cell}: convolutions = '{way}' is for CPUs")
