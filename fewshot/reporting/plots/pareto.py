"""Test accuracy against training time, with the Pareto front."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.labels import Box, Placed, place
from fewshot.reporting.plots.points import (
    DAGGER,
    Point,
    either,
    elsewhere,
    main_machine,
    may_lead,
    pareto_front,
    protocol_words_of,
)
from fewshot.reporting.plots.scales import column_title, percent_limits, time_scale
from fewshot.reporting.plots.style import GREY, Mark, draw_page, marks_of, shown_name, text_size
from fewshot.results.protocol import PROTOCOL

PANEL = 3.0  # inches
MARKER = 4.5  # points from the middle of a marker to what may stand beside it
LEADER = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    timed = [point for point in facts.points if point.train_s]
    if not timed:
        return "no trained row"
    words, keys = protocol_words_of(timed)
    marks, machine = marks_of(words), main_machine([point.machine for point in timed])
    mark_of = {(p.place, p.column): marks[said] for p, said in zip(timed, words, strict=True)}
    columns = [column for column in facts.columns if any(p.column == column for p in timed)]
    key = [
        Line2D([], [], linestyle="none", marker=mark.marker, color=mark.color, label=said)
        for said, mark in (marks.items() if keys else ())
    ]
    caption = _caption(facts, timed, machine, keys)
    figure, panels = draw_page(caption, [PANEL] * len(columns), key=key)
    for (axes,), column in zip(panels, columns, strict=True):
        _panel(axes, facts.of_column(column), mark_of, machine)
    return figure


def _panel(
    axes: Axes,
    points: Sequence[Point],
    mark_of: Mapping[tuple[int, str], Mark],
    machine: str | None,
) -> None:
    timed = [point for point in points if point.train_s]
    axes.set_ylabel("test accuracy (%)")
    axes.set_xlabel("training time, wall clock (s, min, h; log scale)")
    time_scale(axes, [s for point in timed for s in point.train_s], pad=1.6)
    lows, highs = zip(*(_ends(point) for point in timed), strict=True)
    percent_limits(axes, min(lows), max(highs))
    for point in timed:
        _draw_point(axes, point, mark_of[point.place, point.column])
    leading = [point for point in timed if may_lead(point, machine)]
    accuracies = [point.interval.mean for point in leading]
    front = [leading[i] for i in pareto_front([p.seconds for p in leading], accuracies)]
    lines = _draw_front(axes, front)
    floor = _draw_floor(axes, [point for point in points if not point.train_s])
    ordered = [*front[::-1], *(point for point in timed if point not in front)]
    texts = [shown_name(p.name) + (DAGGER if p.machine != machine else "") for p in ordered]
    named = _draw_labels(axes, ordered, texts, floor, lines)
    partly = f" ({named} of {len(timed)} points have room for their names)"
    axes.set_title(column_title(points[0].column) + (partly if named < len(timed) else ""))


def _ends(point: Point) -> tuple[float, float]:
    """Return the ends of the interval in per cent; the mean twice where there is no interval."""
    mean, half = point.percent
    return mean - half, mean + half


def _draw_point(axes: Axes, point: Point, mark: Mark) -> None:
    mean, half = point.percent
    left, right = point.seconds - min(point.train_s), max(point.train_s) - point.seconds
    axes.errorbar(
        [point.seconds],
        [mean],
        yerr=[[half], [half]],
        xerr=[[left], [right]] if len(point.train_s) > 1 else None,
        marker=mark.marker,
        color=mark.color,
        elinewidth=1.0,
        capsize=2.0,
        zorder=3,
    )


def _draw_front(axes: Axes, front: Sequence[Point]) -> list[Box]:
    """Draw the front to the right edge of the axes, and return its steps as thin boxes."""
    if not front:
        return []
    x = [*(point.seconds for point in front), axes.get_xlim()[1]]
    y = [point.percent[0] for point in (*front, front[-1])]
    axes.plot(x, y, drawstyle="steps-post", color=GREY, linewidth=1.0, zorder=2)
    steps = list(pairwise(_at(axes, *corner) for corner in zip(x, y, strict=True)))
    flat = [Box(x0, y0, x1, y0) for (x0, y0), (x1, _) in steps]
    return flat + [Box(x1, y0, x1, y1) for (_, y0), (x1, y1) in steps]


def _draw_floor(axes: Axes, floor: Sequence[Point]) -> list[Box]:
    """Draw untrained rows, which have no place on a time axis: a line, and words at the foot."""
    if not floor:
        return []
    low, high = axes.get_ylim()
    words = []
    for point in floor:
        mean, half = point.percent
        where = "" if mean >= low else ", below"
        words.append(f"{shown_name(point.name)} {mean:.1f} ± {half:.1f} %{where}")
        if low <= mean <= high:
            axes.axhline(mean, color=GREY, linestyle=(0, (1, 2)), linewidth=1.0, zorder=1)
    text = axes.annotate(
        f"not trained: {'; '.join(words)}",
        (1, 0),
        (-2, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="bottom",
    )
    return [Box(*text.get_window_extent().extents)]


def _draw_labels(
    axes: Axes,
    points: Sequence[Point],
    texts: Sequence[str],
    floor: Sequence[Box],
    lines: Sequence[Box],
) -> int:
    """Draw the names of points, the first ones first; return how many have found room."""
    anchors = [_at(axes, point.seconds, point.percent[0]) for point in points]
    sizes = [text_size(text) for text in texts]
    frame = axes.get_window_extent()
    bounds = Box(frame.x0 + 2, frame.y0 + 2, frame.x1, frame.y1 + 8)
    obstacles = [*floor, *(_box(axes, point) for point in points)]
    placed = place(anchors, sizes, bounds, obstacles, lines)
    for point, text, anchor, found in zip(points, texts, anchors, placed, strict=True):
        if found is not None:
            _write(axes, point, text, anchor, found)
    return sum(found is not None for found in placed)


def _write(axes: Axes, point: Point, text: str, anchor: tuple[float, float], found: Placed) -> None:
    at = (point.seconds, point.percent[0])
    x, y = found.box.x0 - anchor[0], found.box.y0 - anchor[1]
    axes.annotate(text, at, (x, y), textcoords="offset points", ha="left", va="bottom")
    if found.leader is not None:
        end = (found.leader[0] - anchor[0], found.leader[1] - anchor[1])
        axes.annotate("", at, end, textcoords="offset points", arrowprops=LEADER)


def _at(axes: Axes, seconds: float, percent: float) -> tuple[float, float]:
    """Return a point's place on the page, in points: figures are made with 72 dots an inch."""
    x, y = axes.transData.transform((seconds, percent))
    return float(x), float(y)


def _box(axes: Axes, point: Point) -> Box:
    """Return the box of a point's marker and error bars."""
    low, high = _ends(point)
    x, y = _at(axes, point.seconds, point.percent[0])
    left, bottom = _at(axes, min(point.train_s), low)
    right, top = _at(axes, max(point.train_s), high)
    return Box(
        min(x - MARKER, left), min(y - MARKER, bottom), max(x + MARKER, right), max(y + MARKER, top)
    )


def _caption(
    facts: FigureData, timed: Sequence[Point], machine: str | None, keys: Sequence[str]
) -> str:
    others = elsewhere((point.machine for point in timed), machine)
    elsewhere_left_out = f", or were not timed on {machine}" if others else ""
    protocols = f" Markers tell protocols apart ({', '.join(PROTOCOL[key] for key in keys)})."
    several = " Several seeds: mean time, and bars from the fastest to the slowest."
    return (
        f"{facts.dataset}: accuracy on test classes against the time to train. Bars: 95 % interval "
        f"over {either(len(point.score.accuracy_E) for point in timed)} test episodes, not over "
        "training seeds. Line: Pareto front, of rows that no other row matches in both and exceeds "
        "in one; left out of it are rows that are transductive, start from other images"
        f"{elsewhere_left_out}.{several if any(len(p.train_s) > 1 for p in timed) else ''}"
        f"{protocols if keys else ''}{others} {facts.source}"
    )
