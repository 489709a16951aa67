"""Optimisers of the outer loop, and the course of their learning rate."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RAdam

from fewshot.harness.recipe import Recipe

MUON_MOMENTUM = 0.95
NEWTON_SCHULZ_STEPS = 2  # as good as the usual five on validation classes: docs/performance.md
ADAM_BETAS_BESIDE_MUON = (0.9, 0.95)


def make_optimizer(parameters: Iterable[Tensor], recipe: Recipe) -> "torch.optim.Optimizer | Muon":
    """Return the recipe's optimiser of the parameters that are to be trained."""
    trained = [p for p in parameters if p.requires_grad]
    lr, decay = recipe.lr, recipe.weight_decay
    if recipe.optimizer == "muon":
        return Muon(trained, lr, decay)
    if recipe.optimizer == "sgd":
        # One kernel for the whole step, where PyTorch has it: the same numbers, in less time.
        fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in trained)
        return SGD(trained, lr, 0.9, weight_decay=decay, nesterov=True, fused=fused)
    kind = Adam if recipe.optimizer == "adam" else RAdam
    return kind(trained, lr, weight_decay=decay)


class Muon:
    """Kernels of convolutions by Muon, everything else by AdamW; weight decay is decoupled.

    "Muon: An optimizer for hidden layers in neural networks" (Jordan et al., 2024): the
    singular values of a matrix's step are made alike. Its length is that of AdamW's at the same
    learning rate ("Muon is Scalable for LLM Training", Liu et al., 2025), so that one rate serves
    both. PyTorch's Muon takes matrices alone: it is given views of the kernels. The names and
    meanings of what it offers are those of PyTorch's optimisers.
    """

    def __init__(self, parameters: list[Tensor], lr: float, weight_decay: float) -> None:
        self._parameters = parameters
        self._kernels = [p for p in parameters if p.ndim == 4]
        self._matrices = [nn.Parameter(_as_matrix(p.detach(), p)) for p in self._kernels]
        self._inner: list[torch.optim.Optimizer] = []
        if self._matrices:
            muon = torch.optim.Muon(
                self._matrices,
                lr,
                weight_decay,
                MUON_MOMENTUM,
                ns_steps=NEWTON_SCHULZ_STEPS,
                adjust_lr_fn="match_rms_adamw",
            )
            self._inner.append(muon)
        if rest := [p for p in parameters if p.ndim != 4]:
            self._inner.append(AdamW(rest, lr, ADAM_BETAS_BESIDE_MUON, weight_decay=weight_decay))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for inner in self._inner for group in inner.param_groups]

    def zero_grad(self) -> None:
        for p in self._parameters:
            p.grad = None

    def step(self) -> None:
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            matrix.grad = None if kernel.grad is None else _as_matrix(kernel.grad, kernel)
        for inner in self._inner:
            inner.step()

    def state_dict(self) -> dict[str, Any]:
        return {"inner": [inner.state_dict() for inner in self._inner]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for inner, state in zip(self._inner, state_dict["inner"], strict=True):
            inner.load_state_dict(state)


def _as_matrix(x: Tensor, kernel: Tensor) -> Tensor:
    """Return a kernel (or its gradient) as a matrix, a line for each channel it makes.

    The order is that of the kernel's numbers in memory, so that no copy is made of it.
    """
    if kernel.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.flatten(1)


def lr_factor(recipe: Recipe, progress: float) -> float:
    """Return the learning rate over its peak, at this share of the budget."""
    if recipe.schedule == "constant":
        return 1.0
    warmup = recipe.warmup if recipe.schedule == "one_cycle" else 0.0
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup  # one cycle starts at a 25th (Smith, 2018)
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
