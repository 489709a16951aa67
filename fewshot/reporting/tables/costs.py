"""Times, memory and images as they stand in a table. Times of unlike conditions are not mixed.

A mean is over the trainings (one a seed, and one a shot where each was trained for) whose times may
be averaged: of one machine, and undisturbed where any is. In brackets, how many of how many.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import NamedTuple

from fewshot.results.curves import first_hit, target_of, validations_of
from fewshot.results.records import Shape, Spent
from fewshot.results.timing import Costs, Timing, alike, mean_time, scoring_time
from fewshot.units import HOLE, Entry, count, duration, number, rate, share


class Value(NamedTuple):
    """The text in a cell of a table, and the key that it is sorted by: None for a hole.

    timing: of a time, what it may be held against. is_part: whether it is the mean of some of its
    trainings or tests, since the others were not timed alike.
    """

    text: str
    key: float | str | None
    timing: Timing | None = None
    is_part: bool = False


NO_VALUE = Value(HOLE, None)


class Reached(NamedTuple):
    """When trainings first met a target in validation: median seconds, inf if half of them missed.

    hits: how many met it, of so many trainings. budget_s: the longest of the trainings. shape: ways
    and shots of the validation episodes. timing: that of the trainings.
    """

    seconds: float
    hits: int
    trainings: int
    budget_s: float
    shape: Shape
    timing: Timing


def training(costs: Costs) -> Value:
    """Return the wall-clock time of a training."""
    return _time(duration, costs.training_times)


def warmup(costs: Costs) -> Value:
    """Return the time of warm-up and compilation, which is not in the time of training."""
    return _part(costs, lambda spent: spent.warmup_s)


def cpu_of_training(costs: Costs) -> Value:
    """Return the process's own processor time while training."""
    return _part(costs, lambda spent: spent.cpu_s)


def cpu_of_test(costs: Costs) -> Value:
    """Return the process's own processor time while a cell was scored."""
    runs = [cell.run for cell in costs.cells]
    times = [scoring_time(r, r.scoring.cpu_s) for r in runs if r.scoring.cpu_s is not None]
    return _time(duration, times)


def others_in_training(costs: Costs) -> Value:
    """Return the largest share of the machine that others used in the trainings averaged."""
    time = mean_time(costs.training_times)
    return Value(*share(time and time.others))


def others_in_test(costs: Costs) -> Value:
    """Return the largest share of the machine that others used in the scorings averaged."""
    time = mean_time(costs.episode_times)
    return Value(*share(time and time.others))


def images(costs: Costs) -> Value:
    """Return the mean number of images seen in a training."""
    return Value(*count(costs.images))


def episodes_a_second(costs: Costs) -> Value:
    """Return how many test episodes are adapted to and predicted in a second."""
    return _time(lambda seconds: rate(1 / seconds if seconds else None), costs.episode_times)


def episode_ms(costs: Costs) -> Value:
    """Return the milliseconds to adapt to a test episode and predict it."""
    return _time(lambda seconds: number(seconds, f"{1000 * seconds:.2f}"), costs.episode_times)


def training_mb(costs: Costs) -> Value:
    """Return the largest peak memory of the trainings that say it."""
    return _largest(training.peak_memory_mb for training in costs.trainings)


def scoring_mb(costs: Costs) -> Value:
    """Return the largest peak memory of the scorings that say it."""
    return _largest(cell.run.scoring.peak_memory_mb for cell in costs.cells)


def reached(costs: Costs, asked: float | None) -> Reached | None:
    """Return when the trainings met their target; None without a target or a validation."""
    shapes, hits_s, budgets_s = [], [], []
    for i in alike(costs.training_times):
        target, found = target_of(costs.trained[i], asked), validations_of(costs.trained[i])
        if target is not None and found is not None:
            shapes.append(found.shape)
            hits_s.append(first_hit(found.seconds_V, found.accuracy_V, target))
            budgets_s.append(costs.training_times[i].seconds)
    time = mean_time(costs.training_times)
    if not shapes or time is None:
        return None
    hits = sum(map(math.isfinite, hits_s))
    return Reached(median(hits_s), hits, len(costs.trained), max(budgets_s), shapes[0], time)


def reached_value(found: Reached | None, show_shape: bool) -> Value:
    """Return the median time to a target in words; for a miss, "> " and the budget."""
    if found is None:
        return NO_VALUE
    missed = math.isinf(found.seconds)
    text = f"> {duration(found.budget_s).text}" if missed else duration(found.seconds).text
    remarks = [f"{found.hits} of {found.trainings}"] * (0 < found.hits < found.trainings)
    if show_shape:
        remarks.append("{}w{}s".format(*found.shape))
    return Value(f"{text} ({', '.join(remarks)})" if remarks else text, found.seconds, found.timing)


def _part(costs: Costs, part: Callable[[Spent], float | None]) -> Value:
    """Return a mean of a part of the time spent; a hole where an averaged training lacks it."""
    parts = [part(training.spent) for training in costs.trainings]
    if any(parts[i] is None for i in alike(costs.training_times)):
        return NO_VALUE
    times = zip(costs.training_times, parts, strict=True)
    return _time(duration, [time._replace(seconds=seconds or 0.0) for time, seconds in times])


def _time(words: Callable[[float], Entry], times: Sequence[Timing]) -> Value:
    time = mean_time(times)
    if time is None:
        return NO_VALUE
    entry, averaged = words(time.seconds), len(alike(times))
    if averaged == len(times):
        return Value(*entry, time)
    return Value(f"{entry.text} ({averaged} of {len(times)})", entry.key, time, is_part=True)


def _largest(peaks_mb: Iterable[int | None]) -> Value:
    return Value(*count(max((mb for mb in peaks_mb if mb is not None), default=None)))
