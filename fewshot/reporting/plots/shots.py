"""Test accuracy against the number of support images a class."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.labels import spread
from fewshot.reporting.plots.points import Point, either
from fewshot.reporting.plots.scales import percent_limits
from fewshot.reporting.plots.style import GREY, LINE, draw_page, shown_name, text_size, widest
from fewshot.results.grouping import grouped
from fewshot.results.rows import shape_of

PANEL = 3.6  # inches
LEADER = 16.0  # points from the panel's edge to the samples of the lines
SAMPLE = 22.0  # points of a sample, then the label


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    ways = grouped(facts.points, lambda point: shape_of(point.column)[0])
    ways = {way: ways[way] for way in sorted(ways) if len(set(map(_shot, ways[way]))) > 1}
    if not ways:
        return "one number of shots alone"
    names = [shown_name(point.name) for points in ways.values() for point in points]
    figure, panels = draw_page(
        _caption(facts),
        [max(PANEL, _room(points)) for points in ways.values()],
        right=widest(names) + (LEADER + SAMPLE + 10) / 72,
    )
    for (axes,), (way, points) in zip(panels, ways.items(), strict=True):
        axes.set_title(f"{facts.dataset}, {way}-way")
        _panel(figure, axes, facts, points)
    return figure


def _shot(point: Point) -> int:
    return shape_of(point.column)[1]


def _by_row(points: Sequence[Point]) -> list[list[Point]]:
    return [sorted(row, key=_shot) for row in grouped(points, lambda point: point.place).values()]


def _room(points: Sequence[Point]) -> float:
    """Return the inches that the labels of all rows take above each other."""
    lines = sum(shown_name(row[0].name).count("\n") + 1 for row in _by_row(points))
    return LINE * lines + 0.02 * len(points)


def _panel(figure: Figure, axes: Axes, facts: FigureData, points: Sequence[Point]) -> None:
    shots, rows = sorted(set(map(_shot, points))), _by_row(points)
    axes.set_ylabel("test accuracy (%)")
    axes.set_xlabel("support images of a class (shots; log scale)")
    axes.set_xscale("log")
    axes.set_xlim(shots[0] / 1.12, shots[-1] * 1.12)
    axes.xaxis.set_major_locator(FixedLocator(shots))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda shot, _: f"{shot:g}"))
    means = [point.percent[0] for point in points]
    percent_limits(axes, min(means), max(means))
    for row in rows:
        mark, shown = facts.marks[row[0].name], [_shot(point) for point in row]
        heights, bars = zip(*(point.percent for point in row), strict=True)
        axes.errorbar(shown, heights, yerr=bars, fmt="none", ecolor=mark.color, capsize=2.0)
        axes.plot(shown, heights, **mark.line)
    _draw_labels(figure, axes, facts, rows)


def _draw_labels(
    figure: Figure, axes: Axes, facts: FigureData, rows: Sequence[Sequence[Point]]
) -> None:
    """Draw each label at the right, as near to the height of its row's last point as has room."""
    frame = axes.get_window_extent()
    names = [shown_name(row[0].name) for row in rows]
    at = [axes.transData.transform((_shot(row[-1]), row[-1].percent[0])) for row in rows]
    heights = [text_size(name)[1] for name in names]
    middles = spread([float(y) for _, y in at], heights, frame.y0 - 4, frame.y1 + 4)
    for row, name, (x, y), middle in zip(rows, names, at, middles, strict=True):
        mark = facts.marks[row[0].name]
        left, right = frame.x1 + LEADER, frame.x1 + LEADER + SAMPLE
        _line(figure, [x + 4, left], [y, middle], color=GREY, linewidth=0.5)
        _line(figure, [left, right], [middle] * 2, color=mark.color, linestyle=mark.dash)
        _line(figure, [(left + right) / 2], [middle], **mark.line | {"linestyle": "-"})
        figure.text(
            (right + 4) / 72, middle / 72, name, va="center", transform=figure.dpi_scale_trans
        )


def _line(figure: Figure, x: Sequence[float], y: Sequence[float], **look: object) -> None:
    """Draw a line over the whole figure, its ends in points."""
    inches = [[value / 72 for value in values] for values in (x, y)]
    line = Line2D(*inches, transform=figure.dpi_scale_trans)
    line.set(**look)
    figure.add_artist(line)


def _caption(facts: FigureData) -> str:
    return (
        f"{facts.dataset}: accuracy on test classes against shots. Bars: 95 % interval over "
        f"{either(len(point.score.accuracy_E) for point in facts.points)} test episodes, not over "
        "training seeds; the supports of fewer shots lie inside those of more, and the queries are "
        f"the same. Lines only join the points of a row. {facts.source}"
    )
