"""A pausable wall clock for the parts of a training, and the use of the processors meanwhile."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from fewshot import machine
from fewshot.harness.checkpoint import Counts

FEWEST_S = 0.2
"""Over less, the system's hundredths of a second do not tell who used the processors."""
PARTS = ("data", "forward", "backward", "optimizer")


@dataclass(frozen=True)
class Use:
    """The use of the processors over some time.

    cpu_s: processor seconds of this process, all its threads together. others: share of the
    machine's processor time that went to anyone else, in 0..1; None where the system doesn't
    tell, or the time was too short to.
    """

    cpu_s: float
    others: float | None


@dataclass
class _Sums(Counts):
    """Seconds of a clock: total_s and its parts, warm-up, and processor seconds in total_s."""

    total_s: float = 0.0
    warmup_s: float = 0.0
    cpu_s: float = 0.0
    others_s: float = 0.0
    machine_s: float = 0.0
    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))


class Clock:
    """Monotonic seconds, counted while it runs; a training's are split into PARTS.

    A GPU works through a queue. It is waited for where the clock starts and stops, and nowhere
    else: the parts of a step are measured by events that the GPU itself notes down. `counted` is
    its state, once it stands still.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._since: float | None = None
        self.counted = _Sums()
        self._events: deque[tuple[str, torch.cuda.Event, torch.cuda.Event]] = deque()

    def now(self) -> float:
        """Return monotonic seconds once the device has finished what was queued."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds counted until now; the device is not waited for."""
        running = 0.0 if self._since is None else time.perf_counter() - self._since
        return self.counted.total_s + running

    @property
    def use(self) -> Use:
        """The use of the processors while the clock ran, once it stands still."""
        sums = self.counted
        if sums.total_s < FEWEST_S or not sums.machine_s:
            return Use(sums.cpu_s, None)
        return Use(sums.cpu_s, min(1.0, sums.others_s / sums.machine_s))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of the block, within one that is counted."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    @contextmanager
    def warming(self) -> Iterator[None]:
        """Count the time of the block as warm-up and as nothing else."""
        with self.paused():
            start = self.now()
            try:
                yield
            finally:
                self.counted.warmup_s += self.now() - start

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Book the time of the block on one of PARTS as well, if the clock runs."""
        counts, on_gpu = self._since is not None, self._device.type == "cuda"
        start = self._event() if counts and on_gpu else time.perf_counter()
        try:
            yield
        finally:
            if isinstance(start, torch.cuda.Event):
                self._events.append((name, start, self._event()))
                self._book_events()
            elif counts:
                self.counted.parts[name] += time.perf_counter() - start

    def _event(self) -> torch.cuda.Event:
        """Return an event that the GPU notes down when all that is queued is done."""
        with torch.cuda.device(self._device):
            event = torch.cuda.Event(enable_timing=True)
            event.record()
        return event

    def _book_events(self) -> None:
        """Book the parts whose events the GPU has passed, and wait for none."""
        while self._events and self._events[0][2].query():
            name, start, end = self._events.popleft()
            self.counted.parts[name] += start.elapsed_time(end) / 1000

    def _start(self) -> None:
        self._used_before = machine.processor_seconds()
        self._since = self.now()

    def _stop(self) -> None:
        if self._since is None:
            return
        self.counted.total_s += self.now() - self._since
        self._since = None
        self._book_events()
        before, after = self._used_before, machine.processor_seconds()
        own_s = after.own_s - before.own_s
        self.counted.cpu_s += own_s
        if before.busy_s is not None and after.busy_s is not None:
            # The system counts in hundredths of a second: over a short time, less than nothing.
            self.counted.others_s += max(0.0, after.busy_s - before.busy_s - own_s)
            self.counted.machine_s += after.machine_s - before.machine_s
