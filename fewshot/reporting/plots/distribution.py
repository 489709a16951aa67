"""The distribution of the accuracies of single test episodes."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.points import Point, either
from fewshot.reporting.plots.scales import column_title, lane_height, name_lanes, names_room
from fewshot.reporting.plots.style import GREY, PALETTE, draw_page
from fewshot.results.rows import shape_of
from fewshot.units import HOLE

PER_LINE = 3  # panels beside each other
MOST_BINS = 100
FILL = "#c8d2e4"
PEAK = 0.86  # of a lane
TAIL = 0.05


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    if not facts.points:
        return "no test episodes"
    names = list({point.place: point.name for point in facts.points}.values())
    columns = facts.columns
    across = min(len(columns), PER_LINE)
    height = len(names) * max(0.24, lane_height(names))
    figure, panels = draw_page(
        _caption(facts),
        [height] * math.ceil(len(columns) / across),
        across,
        left=names_room(names),
        between=0.18,
        right=0.2,
    )
    places = [(axes, j) for line in panels for j, axes in enumerate(line)]
    for (axes, j), column in zip(places, columns, strict=False):
        _panel(axes, column, facts, names, first=j == 0)
    for axes, _ in places[len(columns) :]:
        axes.remove()
    return figure


def shares(accuracy_E: np.ndarray, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of bins and the share of episodes in each.

    An episode of Q queries has Q + 1 possible accuracies: each has a bin of its own, or, where
    they are many, so many of them in a row have one.
    """
    together = math.ceil((queries + 1) / MOST_BINS)
    bins = math.ceil((queries + 1) / together)
    edges = (together * np.arange(bins + 1) - 0.5) / queries
    counts, _ = np.histogram(accuracy_E, edges)
    return edges, counts / len(accuracy_E)


def _panel(axes: Axes, column: str, facts: FigureData, names: Sequence[str], first: bool) -> None:
    points = facts.of_column(column)
    name_lanes(axes, names, shown=first)
    axes.set_title(column_title(column))
    axes.set_xlabel("accuracy of an episode (%)")
    axes.set_xlim(-1, 101)
    axes.axvline(100 / shape_of(column)[0], color=GREY, linestyle=(0, (1, 2)), linewidth=1.0)
    found = {
        point.place: (point, *shares(point.score.accuracy_E, point.queries)) for point in points
    }
    peak = max(share.max() for _, _, share in found.values())
    for lane, place in enumerate(dict.fromkeys(point.place for point in facts.points)):
        if place in found:
            point, edges, share = found[place]
            _lane(axes, lane, point, edges, share / peak)
        else:
            axes.annotate(HOLE, (50, lane), ha="center", va="center")


def _lane(axes: Axes, lane: int, point: Point, edges: np.ndarray, heights: np.ndarray) -> None:
    base = lane + 0.42
    axes.stairs(
        base - PEAK * heights,
        100 * edges,
        baseline=base,
        fill=True,
        facecolor=FILL,
        edgecolor=PALETTE[0],
        linewidth=0.5,
        zorder=2,
    )
    accuracy_E = point.score.accuracy_E
    low, high = 100 * np.quantile(accuracy_E, [TAIL, 1 - TAIL])
    axes.plot([low, high], [base, base], color=PALETTE[0], linewidth=2.0, zorder=3)
    mean = 100 * accuracy_E.mean()
    axes.plot([mean, mean], [base, base - PEAK], color=PALETTE[2], linewidth=1.4, zorder=4)


def _caption(facts: FigureData) -> str:
    seeds = max(point.row.seeds for point in facts.points)
    of_seeds = " Several seeds: an episode's accuracy is its mean over them." if seeds > 1 else ""
    return (
        f"{facts.dataset}: shares of test episodes by their accuracy, n = "
        f"{either(len(point.score.accuracy_E) for point in facts.points)} episodes each, "
        f"{either(point.queries for point in facts.points)} queries an episode: a bin for each "
        "accuracy that can occur (several, where they are over 100), one scale within a panel. "
        "Upright line: mean; bar below: middle 90 % of the episodes; dotted: "
        f"chance.{of_seeds} {facts.source}"
    )
