"""The curve of a training, the weights it keeps, and its end by a loss that explodes."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

Weights = dict[str, Any]
EXPLODED = 1e4  # a loss above this is as lost as one that is not a number
GPU_CHECK_EVERY = 50  # steps, after which a loss has come from a GPU without anyone waiting for it


@dataclass(frozen=True)
class CurvePoint:
    """A validation: the steps, seconds and images until then, and its accuracy in 0..1."""

    step: int
    seconds: float
    images: int
    loss: float
    lr: float
    val_accuracy: float


class DivergedError(FloatingPointError):
    """The loss exploded or stopped being a number.

    step: the first at which it was seen. weights: those of the last validation before it, or the
    first ones, with the curve until then.
    """

    def __init__(
        self, value: float, step: int, good_step: int, weights: Weights, curve: list[CurvePoint]
    ) -> None:
        since = f"the last good weights are those of step {good_step}"
        super().__init__(f"the loss became {value:.4g} by step {step}; {since}")
        self.step, self.good_step, self.weights, self.curve = step, good_step, weights, curve


class Kept:
    """The curve until now, and copies of the weights: those last validated, and the best."""

    def __init__(self, learner: nn.Module) -> None:
        self.curve = list[CurvePoint]()
        self._last = self._best = _snapshot(learner)

    def state_dict(self) -> dict[str, Any]:
        return {"curve": plain_curve(self.curve), "last": self._last, "best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.curve[:] = [CurvePoint(**point) for point in state["curve"]]
        self._last, self._best = state["last"], state["best"]

    def add(self, point: CurvePoint, learner: nn.Module) -> None:
        """Add a validation of the learner as it is now."""
        self.curve.append(point)
        self._last = _snapshot(learner)
        if point is self._best_point():
            self._best = self._last

    def check(self, losses: Iterable[tuple[int, Tensor]]) -> None:
        """Raise DivergedError if the loss of a step is no number, or beyond all measure."""
        for step, loss in losses:
            value = loss.item()
            if not abs(value) < EXPLODED:
                good_step = self.curve[-1].step if self.curve else 0
                raise DivergedError(value, step, good_step, self._last, self.curve)

    def select(self, learner: nn.Module, which: str, step: int) -> int:
        """Give the learner the best validation's weights, or leave the last; return their step."""
        if which == "last" or not self.curve:
            return step
        learner.load_state_dict(self._best)
        return self._best_point().step

    def _best_point(self) -> CurvePoint:
        """Return the first of the points with the highest accuracy."""
        return max(self.curve, key=lambda point: point.val_accuracy)


class Losses:
    """The losses of a training; a GPU's are sent for, and looked at some steps later."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sent: tuple[int, Tensor, torch.cuda.Event] | None = None
        self.latest: list[tuple[int, Tensor]] = []
        """The loss of the step before, for whoever can wait for it."""

    def arrived(self, step: int, loss: Tensor) -> list[tuple[int, Tensor]]:
        """Return the losses that can be looked at without waiting, each with its step."""
        self.latest = [(step, loss.detach())]
        if self._device.type == "cpu":
            return [(step, loss)]
        if step % GPU_CHECK_EVERY:
            return []
        earlier = self._sent
        self._sent = (step, loss.detach().to("cpu", non_blocking=True), torch.cuda.Event())
        self._sent[2].record()
        return [earlier[:2]] if earlier is not None and earlier[2].query() else []


def _snapshot(learner: nn.Module) -> Weights:
    return {key: value.detach().clone() for key, value in learner.state_dict().items()}


def plain_curve(curve: list[CurvePoint]) -> list[dict[str, Any]]:
    """Return the curve as plain dicts."""
    return [asdict(point) for point in curve]
