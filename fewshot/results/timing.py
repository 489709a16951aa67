"""Measured times: on which machine each was taken, how quiet that was, and what may be averaged.

Pure functions of cells; needs neither torch nor images.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from statistics import fmean
from typing import NamedTuple

from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.records import Host, RunRecord, Shape, TrainingRecord

DISTURBED = 0.05
"""A time is marked where other processes used more of the machine's processor time meanwhile."""


class Machine(NamedTuple):
    """The facts that times depend on besides the work; None where a record does not say."""

    processor: str
    kind: str | None
    cores: int | None
    threads: int | None
    gpu: str | None
    driver: str | None
    torch: str
    precision: str

    @property
    def place(self) -> str:
        """The device and its threads; the software is left out."""
        return f"{self.gpu or self._processor_words}, {self.threads} threads"

    @property
    def words(self) -> str:
        """The whole machine in words, for a footnote."""
        gpu = [self.gpu, self.driver and f"driver {self.driver}"]
        cores = f" on {self.cores} cores" if self.cores else ""
        software = [f"torch {self.torch}", self.precision]
        parts = [*gpu, self._processor_words, f"{self.threads} threads{cores}", *software]
        return ", ".join(part for part in parts if part)

    @property
    def _processor_words(self) -> str:
        return f"{self.processor} ({self.kind})" if self.kind else self.processor

    @property
    def fingerprint(self) -> str:
        """A hash of the machine: 8 hexadecimal digits.

        >>> Machine("Abacus", None, 2, 2, None, None, "2.6", "fp32").fingerprint
        '2e17ef15'
        """
        return sha256(repr(tuple(self)).encode()).hexdigest()[:8]


class Timing(NamedTuple):
    """A time in seconds, where it was taken, and the share of that machine's processor time that
    other processes used meanwhile, 0 to 1; None where nobody looked.
    """

    seconds: float
    machine: Machine
    others: float | None

    @property
    def disturbed(self) -> bool:
        """Return whether others used so much of the machine that the time must be marked."""
        return self.others is not None and self.others > DISTURBED


@dataclass(frozen=True)
class Costs:
    """The times and images of the cells behind some scores.

    A mean time is over those that may be averaged, see `alike`.
    """

    cells: tuple[CellResult, ...]

    @cached_property
    def trained(self) -> list[CellResult]:
        """The first cell of each training."""
        shared = grouped(self.cells, lambda cell: cell.run.training and cell.run.training.id)
        return [cells[0] for training, cells in shared.items() if training]

    @cached_property
    def trainings(self) -> list[TrainingRecord]:
        """Each training, in the order of `trained`."""
        return [cell.run.training for cell in self.trained if cell.run.training]

    @cached_property
    def training_times(self) -> list[Timing]:
        """The time of each training, in the order of `trained`."""
        return [time for cell in self.trained if (time := training_time(cell.run))]

    @cached_property
    def episode_times(self) -> list[Timing]:
        """The time that each cell took to adapt to an episode and predict it."""
        return [episode_time(cell) for cell in self.cells]

    @property
    def averaged(self) -> list[Timing]:
        """The times of the trainings that are in their mean."""
        return [self.training_times[i] for i in alike(self.training_times)]

    @property
    def images(self) -> int | None:
        """The mean number of images seen in a training: no clock is in it, so over all of them."""
        seen = [training.spent.images for training in self.trainings]
        return round(fmean(seen)) if seen else None

    def at_shape(self, shape: Shape) -> "Costs":
        """Return the costs of the cells of one shape: those of other shapes cost otherwise."""
        return Costs(tuple(cell for cell in self.cells if cell.run.config.scoring.shape == shape))


def trained_on(run: RunRecord) -> Machine:
    """Return where a cell was trained, or, without a training, where it was scored."""
    return _machine(run, run.training.host if run.training else run.host)


def machines_of(run: RunRecord) -> set[Machine]:
    """Return the machines that the times of a cell were taken on."""
    return {_machine(run, run.host), trained_on(run)}


def training_time(run: RunRecord) -> Timing | None:
    """Return the time of the training behind a cell; None without one."""
    if not run.training:
        return None
    return Timing(run.training.spent.train_s, trained_on(run), run.training.spent.others)


def scoring_time(run: RunRecord, seconds: float) -> Timing:
    """Return seconds of a cell's scoring as a time on the machine that it was scored on."""
    return Timing(seconds, _machine(run, run.host), run.scoring.others)


def episode_time(cell: CellResult) -> Timing:
    """Return the mean time of a cell to adapt to an episode and predict it."""
    total_ms = cell.episodes["adapt_ms"].mean() + cell.episodes["predict_ms"].mean()
    return scoring_time(cell.run, float(total_ms) / 1000)


def alike(timings: Sequence[Timing]) -> list[int]:
    """Return the places of the times that may be averaged: of one machine, all disturbed or none.

    Undisturbed ones if there are any, of the machine where most of them were taken; of several
    such machines, the first in the alphabet.
    """
    groups = grouped(range(len(timings)), lambda i: (timings[i].disturbed, timings[i].machine))
    ranked = sorted(groups.items(), key=lambda g: (g[0][0], -len(g[1]), g[0][1].words))
    return ranked[0][1] if ranked else []


def mean_time(timings: Sequence[Timing]) -> Timing | None:
    """Return the mean of the times that may be averaged; `others` is the largest among them."""
    chosen = [timings[i] for i in alike(timings)]
    if not chosen:
        return None
    shares = [timing.others for timing in chosen if timing.others is not None]
    seconds = fmean(timing.seconds for timing in chosen)
    return Timing(seconds, chosen[0].machine, max(shares, default=None))


def machines_in(timings: Iterable[Timing]) -> list[Machine]:
    """Return each machine of these times once, in the order of their words."""
    found = {timing.machine for timing in timings}
    return sorted(found, key=lambda machine: (machine.words, machine.fingerprint))


def _machine(run: RunRecord, host: Host) -> Machine:
    return Machine(
        host.processor,
        host.processor_kind,
        host.cores,
        host.threads,
        host.gpu,
        host.driver,
        str(host.versions["torch"]),
        run.protocol.precision,
    )
