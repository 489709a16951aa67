"""Paired differences to the best row of the same protocol: a forest plot."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.points import Point
from fewshot.reporting.plots.scales import column_title, lane_height, name_lanes, names_room
from fewshot.reporting.plots.style import PALETTE, draw_page, shown_name, write_beside
from fewshot.results.grouping import grouped
from fewshot.results.rivals import best_rivals
from fewshot.statistics.intervals import Interval, mean_ci95
from fewshot.units import difference

NUMBERS = 0.95  # inches right of the panel, for differences in figures


class Contrast(NamedTuple):
    """A point against the best of its protocol: its accuracy less that one's.

    beaten: by the permutation test, after Holm's correction over all pairs of the table.
    """

    point: Point
    best: Point
    difference: Interval
    beaten: bool


Sections = dict[int, list[Contrast]]
"""The rows that are held against a best row, by its place."""


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    columns = {column: sections_of(facts, column) for column in facts.columns}
    columns = {column: sections for column, sections in columns.items() if sections}
    if not columns:
        return "no two rows of one protocol"
    names = [c.point.name for sections in columns.values() for c in _contrasts(sections)]
    figure, panels = draw_page(
        _caption(facts, columns),
        [lane_height(names) * (len(s) + len(_contrasts(s))) for s in columns.values()],
        left=names_room(names) + 0.1,
        right=NUMBERS,
    )
    for (axes,), (column, sections) in zip(panels, columns.items(), strict=True):
        _panel(axes, column, sections)
    return figure


def sections_of(facts: FigureData, column: str) -> Sections:
    """Return the rows that have a better one of their protocol, under the best such one."""
    points = facts.of_column(column)
    contrasts = []
    for i, j in best_rivals([point.row for point in points], column).items():
        point, best = points[i], points[j]
        if best.score.mean > point.score.mean:
            difference = mean_ci95(point.score.accuracy_E - best.score.accuracy_E)
            beaten = not facts.unbeaten.get((point.place, column), True)
            contrasts.append(Contrast(point, best, difference, beaten))
    contrasts.sort(key=lambda c: (-c.best.score.mean, -c.difference.mean))
    return grouped(contrasts, lambda contrast: contrast.best.place)


def _contrasts(sections: Sections) -> list[Contrast]:
    return list(chain.from_iterable(sections.values()))


def _panel(axes: Axes, column: str, sections: Sections) -> None:
    every = _contrasts(sections)
    axes.set_title(column_title(column))
    axes.set_xlabel("accuracy less that of the best row of its protocol (percentage points)")
    low = _left_end(every)
    axes.set_xlim(1.06 * low, max(-0.06 * low, 1.06 * _right_end(every)))
    axes.spines.left.set_visible(False)
    axes.axvline(0, color=PALETTE[0], linewidth=0.8)
    names: list[str] = []
    for held in sections.values():
        _heading(axes, len(names), held[0].best)
        for lane, contrast in enumerate(held, len(names) + 1):
            _lane(axes, lane, contrast, low)
        names += ["", *(contrast.point.name for contrast in held)]
    name_lanes(axes, names)


def _left_end(held: Sequence[Contrast]) -> float:
    """Return the farthest interval of a trained row; untrained ones may lie far outside."""
    trained = [h for h in held if h.point.train_s] or held
    return min(-0.5, *(100 * (h.difference.mean - h.difference.ci95) for h in trained))


def _right_end(held: Sequence[Contrast]) -> float:
    """Return the farthest end of an interval that reaches beyond the best row's own mean."""
    ends = (100 * (h.difference.mean + h.difference.ci95) for h in held)
    return max((end for end in ends if not math.isnan(end)), default=0.0)


def _heading(axes: Axes, lane: int, best: Point) -> None:
    name = shown_name(best.name).replace("\n", ", ")
    mean, half = best.interval
    text = f"against {name} ({100 * mean:.2f} ± {100 * half:.2f} %)"
    coords = ("figure fraction", "data")
    write_beside(axes, text, (0, lane), 4, xycoords=coords, fontweight="bold")
    axes.axhspan(lane - 0.45, lane + 0.45, color="white", zorder=1.5)


def _lane(axes: Axes, lane: int, held: Contrast, low: float) -> None:
    mean, half = 100 * held.difference.mean, 100 * held.difference.ci95
    color = PALETTE[1]
    if mean < low:
        axes.plot(low, lane, marker="<", color=color, clip_on=False, zorder=3)
        write_beside(axes, "off the scale", (low, lane), 6)
    else:
        face = color if held.beaten else "white"
        axes.errorbar(
            mean, lane, xerr=half, fmt="o", color=color, markerfacecolor=face, capsize=2, zorder=3
        )
    text = difference(*held.difference, signed_zero=True).text
    coords = ("axes fraction", "data")
    write_beside(axes, text, (1, lane), 72 * NUMBERS - 6, xycoords=coords, ha="right")


def _caption(facts: FigureData, columns: Mapping[str, Sections]) -> str:
    shown = {
        (point.place, column)
        for column, sections in columns.items()
        for contrast in _contrasts(sections)
        for point in (contrast.point, contrast.best)
    }
    alone = sorted({p.name for p in facts.points if (p.place, p.column) not in shown})
    without = f" Without a rival of their protocol in some column: {'; '.join(alone)}."
    return (
        f"{facts.dataset}: differences of test accuracy over the same episodes, with their 95 % t "
        "interval over episodes (paired, not over training seeds). Filled: the best row of the "
        "protocol is better (permutation test, 5 %, Holm's correction over all pairs); open: no "
        "difference found. Rows of unlike protocols are not compared."
        f"{without if alone else ''} {facts.source}"
    )
