"""What stands in a table about time, memory and images. Times of unlike conditions are not mixed.

A mean is over the trainings (one a seed, and one a shot where each was trained for) whose times may
be averaged: of one machine, and undisturbed where any is. In brackets, how many of how many.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median
from typing import Any, NamedTuple

from fewshot.results.curves import first_hit, validations_of
from fewshot.results.files import CellResult
from fewshot.results.rows import column_of, episode_time, shape_of
from fewshot.results.timing import Timing, alike, mean_time, scoring_time, training_time
from fewshot.units import HOLE, Entry, count, duration, number, rate, share


class Value(NamedTuple):
    """What stands in a cell of a table, and what it is sorted by: None for a hole.

    timing: of a time, what it may be held against. is_part: whether it is the mean of some of its
    trainings or tests, since the others were not timed alike.
    """

    text: str
    key: float | str | None
    timing: Timing | None = None
    is_part: bool = False


NO_VALUE = Value(HOLE, None)


@dataclass(frozen=True)
class Costs:
    """What the cells behind some scores took."""

    cells: tuple[CellResult, ...]

    @cached_property
    def trained(self) -> list[CellResult]:
        """A cell of each training."""
        found: dict[str, CellResult] = {}
        for cell in self.cells:
            if cell.run["training"]:
                found.setdefault(cell.run["training"]["id"], cell)
        return list(found.values())

    @cached_property
    def training_times(self) -> list[Timing]:
        """Of each training."""
        times = (training_time(cell.run) for cell in self.trained)
        return [time for time in times if time is not None]

    @cached_property
    def episode_times(self) -> list[Timing]:
        """Of each cell, to adapt and predict an episode."""
        return [episode_time(cell) for cell in self.cells]

    @property
    def averaged(self) -> list[CellResult]:
        """A cell of each training whose time is in the mean."""
        return [self.trained[i] for i in alike(self.training_times)]


def largest_shape(many: Iterable[Costs]) -> tuple[int, int] | None:
    """The most ways, and of those the most shots, at which anything was scored."""
    found = {shape_of(column_of(cell)) for costs in many for cell in costs.cells}
    return max(found, default=None)


def at_shape(costs: Costs, shape: tuple[int, int] | None) -> Costs:
    """Of the cells of one shape alone: an episode of one shot and one of five cost differently."""
    return Costs(tuple(cell for cell in costs.cells if shape_of(column_of(cell)) == shape))


class Reached(NamedTuple):
    """When trainings first met a target in validation: median seconds, inf if half of them missed.

    hits: how many met it, of so many trainings. budget_s: the longest of the trainings. shape: ways
    and shots of the validation episodes. timing: that of the trainings.
    """

    seconds: float
    hits: int
    trainings: int
    budget_s: float
    shape: tuple[int, int]
    timing: Timing


def training(costs: Costs) -> Value:
    """Wall clock of a training."""
    return _time(duration, costs.training_times)


def warmup(costs: Costs) -> Value:
    """Seconds of warm-up and compilation, which are not in the time of training."""
    return _part(costs, lambda spent: spent.get("warmup_s"))


def cpu_of_training(costs: Costs) -> Value:
    """The process's own processor time while training."""
    return _part(costs, lambda spent: spent.get("cpu_s"))


def cpu_of_test(costs: Costs) -> Value:
    """The process's own processor time while a cell was scored."""
    times = [
        scoring_time(cell.run, used)
        for cell in costs.cells
        if (used := _scoring(cell).get("cpu_s")) is not None
    ]
    return _time(duration, times)


def others_in_training(costs: Costs) -> Value:
    """Share of the machine that others used while training: the largest of those averaged."""
    time = mean_time(costs.training_times)
    return _plain(share(time and time.others))


def others_in_test(costs: Costs) -> Value:
    """Share of the machine that others used while scoring: the largest of those averaged."""
    time = mean_time(costs.episode_times)
    return _plain(share(time and time.others))


def images(costs: Costs) -> Value:
    """Images seen in a training: the mean over all of them, since no clock is in it."""
    seen = [cell.run["training"]["spent"]["images"] for cell in costs.trained]
    return _plain(count(round(fmean(seen)) if seen else None))


def episodes_a_second(costs: Costs) -> Value:
    """Test episodes adapted to and predicted in a second."""
    return _time(lambda seconds: rate(1 / seconds if seconds else None), costs.episode_times)


def episode_ms(costs: Costs) -> Value:
    """Milliseconds to adapt to a test episode and predict it."""
    return _time(lambda seconds: number(seconds, f"{1000 * seconds:.2f}"), costs.episode_times)


def training_mb(costs: Costs) -> Value:
    """Peak memory of training."""
    return _plain(count(_peak_mb([cell.run["training"] for cell in costs.trained])))


def scoring_mb(costs: Costs) -> Value:
    """Peak memory of scoring."""
    return _plain(count(_peak_mb([_scoring(cell) for cell in costs.cells])))


def target_of(cell: CellResult, asked: float | None) -> float | None:
    """The validation accuracy that its training was to reach."""
    return cell.run["config"].get("target") if asked is None else asked


def reached(costs: Costs, asked: float | None) -> Reached | None:
    """When the trainings met their target; None where there is none, or no validation."""
    found, hits_s = [], []
    for cell in costs.averaged:
        target, validations = target_of(cell, asked), validations_of(cell)
        if target is not None and validations is not None:
            found.append((cell, validations))
            hits_s.append(first_hit(validations.seconds_V, validations.accuracy_V, target))
    if not found:
        return None
    time = mean_time(costs.training_times)
    assert time is not None
    return Reached(
        seconds=median(hits_s),
        hits=sum(map(math.isfinite, hits_s)),
        trainings=len(costs.trained),
        budget_s=max(cell.run["training"]["spent"]["train_s"] for cell, _ in found),
        shape=found[0][1].shape,
        timing=time,
    )


def reached_value(found: Reached | None, show_shape: bool) -> Value:
    """Its median; for a miss, that it took more than the budget."""
    if found is None:
        return NO_VALUE
    missed = math.isinf(found.seconds)
    text = f"> {duration(found.budget_s).text}" if missed else duration(found.seconds).text
    remarks = [f"{found.hits} of {found.trainings}"] * (0 < found.hits < found.trainings)
    if show_shape:
        remarks.append("{}w{}s".format(*found.shape))
    return Value(f"{text} ({', '.join(remarks)})" if remarks else text, found.seconds, found.timing)


def _part(costs: Costs, part: Callable[[Any], float | None]) -> Value:
    """A mean of what the averaged trainings spent; a hole where one of them does not know it."""
    if any(part(cell.run["training"]["spent"]) is None for cell in costs.averaged):
        return NO_VALUE
    spent = (part(cell.run["training"]["spent"]) or 0.0 for cell in costs.trained)
    times = zip(costs.training_times, spent, strict=True)
    return _time(duration, [time._replace(seconds=seconds) for time, seconds in times])


def _time(words: Callable[[float], Entry], times: Sequence[Timing]) -> Value:
    time = mean_time(times)
    if time is None:
        return NO_VALUE
    entry, averaged = words(time.seconds), len(alike(times))
    if averaged == len(times):
        return Value(*entry, time)
    return Value(f"{entry.text} ({averaged} of {len(times)})", entry.key, time, is_part=True)


def _plain(entry: Entry) -> Value:
    return Value(entry.text, entry.key)


def _scoring(cell: CellResult) -> dict[str, Any]:
    return cell.run.get("scoring") or {}


def _peak_mb(records: Sequence[dict[str, Any]]) -> int | None:
    """The largest of those that say; early cells do not."""
    found = [record.get("peak_memory_mb") for record in records]
    return max((mb for mb in found if mb is not None), default=None)
