"""Axes with units: time and images on a log scale with few round ticks, accuracies in per cent."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fewshot.reporting.plots.style import LINE, shown_name, widest
from fewshot.results.records import Shape
from fewshot.results.rows import dataset_in, shape_of

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0
TIME_TICKS = (
    *(n * SECOND for n in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)),
    *(n * MINUTE for n in (1, 2, 5, 10, 20, 30)),
    *(n * HOUR for n in (1, 2, 5, 10)),
    *(n * DAY for n in (1, 2, 5, 10, 20, 50, 100)),
)
MIDDLE_TIME_TICKS = (
    *(n * SECOND for n in (0.01, 0.05, 0.2, 1, 5, 20)),
    *(n * MINUTE for n in (1, 5, 20)),
    *(n * HOUR for n in (1, 5)),
    *(n * DAY for n in (1, 5, 20, 100)),
)
COARSE_TIME_TICKS = (
    *(n * SECOND for n in (0.01, 0.1, 1, 10)),
    *(n * MINUTE for n in (1, 10)),
    *(n * HOUR for n in (1, 10)),
    *(n * DAY for n in (4, 40)),
)
UNIT_FROM = 5 / 3  # 100 s are read more easily than 1.67 min
POWERS = range(-3, 13)
COUNT_TICKS = tuple(m * 10.0**p for p in POWERS for m in (1, 2, 5))
COARSE_COUNT_TICKS = tuple(10.0**p for p in POWERS)
TICK_ROOM = 46.0  # points of axis for one tick's label
NAME_GAP = 0.12  # inches between a name and its lane


def time_scale(axes: Axes, seconds: Sequence[float], pad: float = 1.15) -> None:
    """Make x a log scale of times whose ticks say their unit themselves: 30 s, 5 min, 2 h."""
    _log_scale(axes, seconds, pad, (TIME_TICKS, MIDDLE_TIME_TICKS, COARSE_TIME_TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: tick_words(s)))


def thousands_scale(axes: Axes, thousands: Sequence[float], pad: float = 1.15) -> None:
    """Make x a log scale of counts, in thousands."""
    _log_scale(axes, thousands, pad, (COUNT_TICKS, COARSE_COUNT_TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,g}"))


def tick_words(seconds: float) -> str:
    """Return a time on an axis or a bar: three figures at most, as 57 s, 3.8 min, 1.5 h."""
    unit, name = time_unit(seconds)
    return f"{seconds / unit:.3g} {name}"


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the seconds and the name of the unit for a time: 90 s, but 1 min and 2 min."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit * (1 if seconds % unit == 0 else UNIT_FROM):
            return unit, name
    return SECOND, "s"


def percent_limits(axes: Axes, low: float, high: float) -> None:
    """Set the y axis around these accuracies in per cent, and draw a grid."""
    pad = max(1.0, 0.08 * (high - low))
    axes.set_ylim(low - pad, high + pad)
    axes.grid(axis="y")


def column_title(column: str) -> str:
    """Return a column such as `cifar-fs 5w1s` in words."""
    return shape_title(dataset_in(column), shape_of(column))


def shape_title(dataset: str, shape: Shape) -> str:
    """Return a data set and an episode shape in words."""
    return "{}, {}-way {}-shot".format(dataset, *shape)


def names_room(names: Sequence[str]) -> float:
    """Return the inches that the names take left of their lanes."""
    return widest([shown_name(name) for name in names]) + NAME_GAP


def lane_height(names: Sequence[str]) -> float:
    """Return the inches of a lane in which each of the names has room."""
    return LINE * max(shown_name(name).count("\n") + 1 for name in names) + 0.05


def name_lanes(axes: Axes, names: Sequence[str], shown: bool = True) -> None:
    """Lay out lanes 0, 1, ... from the top, with their names at the left."""
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [shown_name(name) if shown else "" for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _log_scale(
    axes: Axes, values: Sequence[float], pad: float, levels: tuple[tuple[float, ...], ...]
) -> None:
    """Set the x axis around these values, with the finest ticks whose labels have room."""
    positive = [value for value in values if value > 0]
    low, high = min(positive) / pad, max(positive) * pad
    finest = levels[0]
    if len(_within(finest, low, high)) < 2:
        low = max((tick for tick in finest if tick <= low), default=low)
        high = min((tick for tick in finest if tick >= high), default=high)
    most = max(2, int(axes.get_window_extent().width / TICK_ROOM))
    found = [_within(level, low, high) for level in levels]
    ticks = next((t for t in found if 2 <= len(t) <= most), found[-1][::2])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())


def _within(ticks: Sequence[float], low: float, high: float) -> list[float]:
    return [tick for tick in ticks if low <= tick <= high]
