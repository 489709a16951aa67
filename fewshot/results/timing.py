"""What a measured time may be held against: the machine it was taken on, and how quiet that was.

Pure functions of run.json; needs neither torch nor images.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from statistics import fmean
from typing import Any, NamedTuple

DISTURBED = 0.05
"""A time is marked where other processes used more of the machine's processor time meanwhile."""


class Machine(NamedTuple):
    """What times depend on besides the work itself; two times are alike where all of it is.

    Early cells do not know the processor's kind, its cores or the driver: None.
    """

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
        """The device and its threads, whatever the software."""
        return f"{self.gpu or self._processor_words}, {self.threads} threads"

    @property
    def words(self) -> str:
        """All of it, for a footnote."""
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
        """A hash of it: 8 hexadecimal digits.

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
        """Whether others used so much of the machine that the time is to be marked."""
        return self.others is not None and self.others > DISTURBED


def trained_on(run: Mapping[str, Any]) -> Machine:
    """Where a cell was trained; where it was scored if it was not trained, or does not say."""
    return _machine(run, (run["training"] or {}).get("host") or run["host"])


def machines_of(run: Mapping[str, Any]) -> set[Machine]:
    """All that times of a cell were taken on."""
    scored_on = _machine(run, run["host"])
    return {scored_on, trained_on(run)} if run["training"] else {scored_on}


def training_time(run: Mapping[str, Any]) -> Timing | None:
    """Of the training behind a cell; None without one."""
    if not run["training"]:
        return None
    spent = run["training"]["spent"]
    return Timing(spent["train_s"], trained_on(run), spent.get("others"))


def scoring_time(run: Mapping[str, Any], seconds: float) -> Timing:
    """So many seconds of a cell's scoring."""
    return Timing(seconds, _machine(run, run["host"]), (run.get("scoring") or {}).get("others"))


def alike(timings: Sequence[Timing]) -> list[int]:
    """The places of those that may be averaged: of one machine, and all disturbed or none.

    Undisturbed ones if there are any, of the machine where most of them were taken; of several
    such, the first in the alphabet.
    """
    groups: dict[tuple[bool, Machine], list[int]] = {}
    for i, timing in enumerate(timings):
        groups.setdefault((timing.disturbed, timing.machine), []).append(i)
    ranked = sorted(groups.items(), key=lambda g: (g[0][0], -len(g[1]), g[0][1].words))
    return ranked[0][1] if ranked else []


def mean_time(timings: Sequence[Timing]) -> Timing | None:
    """Of those that may be averaged; `others` is the largest share among them."""
    chosen = [timings[i] for i in alike(timings)]
    if not chosen:
        return None
    shares = [timing.others for timing in chosen if timing.others is not None]
    seconds = fmean(timing.seconds for timing in chosen)
    return Timing(seconds, chosen[0].machine, max(shares, default=None))


def machines_in(timings: Sequence[Timing]) -> list[Machine]:
    """Each once, in the order of their words."""
    found = {timing.machine for timing in timings}
    return sorted(found, key=lambda machine: (machine.words, machine.fingerprint))


def _machine(run: Mapping[str, Any], host: Mapping[str, Any]) -> Machine:
    return Machine(
        host["processor"],
        host.get("processor_kind"),
        host.get("cores"),
        host.get("threads"),
        host["gpu"],
        host.get("driver"),
        host["versions"]["torch"],
        run["protocol"]["precision"],
    )
