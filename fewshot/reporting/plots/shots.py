"""Test accuracy against the number of support images a class."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.labels import spread
from fewshot.reporting.plots.points import Point
from fewshot.reporting.plots.scales import percent_limits
from fewshot.reporting.plots.style import GREY, LINE, Page, draw_page, shown_name, text_size, widest
from fewshot.results.grouping import grouped
from fewshot.results.rows import shape_of

PANEL = 3.6  # inches
LEADER = 16.0  # points from the panel's edge to the samples of the lines
SAMPLE = 22.0  # points of a sample, then the label


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    ways = grouped(facts.points, lambda point: shape_of(point.column)[0])
    ways = {way: points for way, points in sorted(ways.items()) if len(_shots(points)) > 1}
    if not ways:
        return "one number of shots alone"
    names = [point.name for points in ways.values() for point in points]
    page = Page(
        heights=tuple(max(PANEL, _room(points)) for points in ways.values()),
        columns=1,
        right=widest([shown_name(name) for name in names]) + (LEADER + SAMPLE + 10) / 72,
    )
    figure, panels = draw_page(page, _caption(facts))
    for (axes,), (way, points) in zip(panels, ways.items(), strict=True):
        axes.set_title(f"{facts.dataset}, {way}-way")
        _panel(axes, facts, points)
    return figure


def _shots(points: Sequence[Point]) -> list[int]:
    return sorted({shape_of(point.column)[1] for point in points})


def _by_row(points: Sequence[Point]) -> list[list[Point]]:
    rows = grouped(points, lambda point: point.place).values()
    return [sorted(row, key=lambda p: shape_of(p.column)[1]) for row in rows]


def _room(points: Sequence[Point]) -> float:
    """Return the inches that the labels of all rows take above each other."""
    lines = sum(shown_name(row[0].name).count("\n") + 1 for row in _by_row(points))
    return LINE * lines + 0.02 * len(points)


def _panel(axes: Axes, facts: FigureData, points: Sequence[Point]) -> None:
    shots = _shots(points)
    axes.set_ylabel("test accuracy (%)")
    axes.set_xlabel("support images of a class (shots; log scale)")
    axes.set_xscale("log")
    axes.set_xlim(shots[0] / 1.12, shots[-1] * 1.12)
    axes.xaxis.set_major_locator(FixedLocator(shots))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda shot, _: f"{shot:g}"))
    means = [point.percent[0] for point in points]
    percent_limits(axes, min(means), max(means))
    for row in _by_row(points):
        _draw_row(axes, facts, row)
    _draw_labels(axes, facts, _by_row(points))


def _draw_row(axes: Axes, facts: FigureData, row: Sequence[Point]) -> None:
    mark = facts.marks[row[0].name]
    shots = [shape_of(p.column)[1] for p in row]
    means, bars = zip(*(point.percent for point in row), strict=True)
    axes.errorbar(shots, means, yerr=bars, fmt="none", ecolor=mark.color, capsize=2.0)
    axes.plot(
        shots,
        means,
        color=mark.color,
        marker=mark.marker,
        linestyle=mark.dash,
        markeredgecolor="white",
    )


def _draw_labels(axes: Axes, facts: FigureData, rows: Sequence[Sequence[Point]]) -> None:
    """Draw each label at the right, as near to the height of its row's last point as has room."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    frame = axes.get_window_extent()
    names = [shown_name(row[0].name) for row in rows]
    last = [(shape_of(row[-1].column)[1], row[-1].percent[0]) for row in rows]
    at = [axes.transData.transform(point) for point in last]
    heights = [text_size(figure, name)[1] for name in names]
    middles = spread([float(y) for _, y in at], heights, frame.y0 - 4, frame.y1 + 4)
    for row, name, (x, y), middle in zip(rows, names, at, middles, strict=True):
        mark = facts.marks[row[0].name]
        left, right = frame.x1 + LEADER, frame.x1 + LEADER + SAMPLE
        _line(figure, [x + 4, left], [y, middle], color=GREY, linewidth=0.5)
        _line(figure, [left, right], [middle] * 2, color=mark.color, linestyle=mark.dash)
        _line(figure, [(left + right) / 2], [middle], color=mark.color, marker=mark.marker)
        figure.text(
            (right + 4) / 72, middle / 72, name, va="center", transform=figure.dpi_scale_trans
        )


def _line(figure: Figure, x: Sequence[float], y: Sequence[float], **look: object) -> None:
    """Draw a line over the whole figure, its ends in points."""
    inches = [[value / 72 for value in values] for values in (x, y)]
    line = Line2D(*inches, transform=figure.dpi_scale_trans)
    line.set(**look)
    if "marker" in look:
        line.set_markeredgecolor("white")
    figure.add_artist(line)


def _caption(facts: FigureData) -> str:
    episodes = sorted({len(point.score.accuracy_E) for point in facts.points})
    return (
        f"{facts.dataset}: accuracy on test classes against shots. Bars: 95 % interval over "
        f"{' or '.join(f'{n:,}' for n in episodes)} test episodes, not over training seeds; the "
        "supports of fewer shots lie inside those of more, and the queries are the same. Lines "
        f"only join the points of a row. {facts.source}"
    )
