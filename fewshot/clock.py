"""A synchronised, pausable wall clock that splits the time of training into parts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PARTS = ("data", "forward", "backward", "optimizer")


class Clock:
    """Seconds of training, part by part; what runs outside `part` is not counted.

    On a GPU the device is synchronised at each reading, since kernels are queued: without that
    the time of one part would be booked on the next.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @property
    def total(self) -> float:
        """Seconds in all parts together."""
        return sum(self.seconds.values())

    def now(self) -> float:
        """Monotonic seconds once the device has finished what was queued."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Book the time of the block on one of PARTS."""
        start = self.now()
        try:
            yield
        finally:
            self.seconds[name] += self.now() - start
