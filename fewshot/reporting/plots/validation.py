"""Validation accuracy over seconds of training and over images seen."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fewshot.reporting.plots.curves import Curve, Spent, band, by_name
from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.points import main_machine
from fewshot.reporting.plots.scales import percent_limits, thousands_scale, time_scale
from fewshot.reporting.plots.style import Page, draw_key, draw_page, key_lines, shown_name

PANEL = 3.0  # inches
SHADE = 0.18


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    if not facts.curves:
        return "no validation curve"
    shapes = sorted({curve.shape for curve in facts.curves})
    machine = main_machine([curve.machine for curve in facts.curves])
    named = by_name(facts.curves)
    names = sorted(named, key=lambda name: -_last(named[name]))
    handles = [_handle(facts, name, named[name][0].machine != machine) for name in names]
    page = Page(
        heights=(PANEL,) * len(shapes),
        columns=2,
        between=0.25,
        key_lines=key_lines([str(handle.get_label()) for handle in handles]),
    )
    caption = _caption(facts, machine)
    figure, panels = draw_page(page, caption)
    for axes, shape in zip(panels, shapes, strict=True):
        _panels(axes, facts, shape)
    draw_key(figure, page, caption, handles)
    return figure


def _last(seeds: Sequence[Curve]) -> float:
    return max(float(curve.accuracy_V[-1]) for curve in seeds)


def _panels(panels: Sequence[Axes], facts: FigureData, shape: tuple[int, int]) -> None:
    over_time, over_images = panels
    curves = [curve for curve in facts.curves if curve.shape == shape]
    over_time.set_title(f"{facts.dataset}, {shape[0]}-way {shape[1]}-shot")
    over_time.set_ylabel("validation accuracy (%)")
    over_time.set_xlabel("training time, wall clock (s, min, h; log scale)")
    over_images.set_xlabel("images seen (thousands; log scale)")
    time_scale(over_time, [s for curve in curves for s in curve.seconds_V])
    thousands_scale(over_images, [i / 1000 for c in curves for i in c.images_V])
    percents = [100 * a for curve in curves for a in curve.accuracy_V]
    for axes in panels:
        percent_limits(axes, min(percents), max(percents))
    over_images.set_yticklabels([])
    for name, seeds in by_name(curves).items():
        _draw(over_time, facts, name, seeds, "seconds", 1.0)
        _draw(over_images, facts, name, seeds, "images", 1e-3)


def _draw(
    axes: Axes, facts: FigureData, name: str, seeds: Sequence[Curve], over: Spent, unit: float
) -> None:
    mark = facts.marks[name]
    found = band(seeds, over)
    axes.plot(
        unit * found.x_G,
        100 * found.mean_G,
        color=mark.color,
        marker=mark.marker,
        linestyle=mark.dash,
        markeredgecolor="white",
    )
    if len(seeds) > 1:
        low, high = 100 * found.low_G, 100 * found.high_G
        axes.fill_between(unit * found.x_G, low, high, color=mark.color, alpha=SHADE, linewidth=0)


def _handle(facts: FigureData, name: str, elsewhere: bool) -> Line2D:
    mark = facts.marks[name]
    label = shown_name(name).replace("\n", ", ") + (" †" if elsewhere else "")
    line = Line2D([], [], color=mark.color, marker=mark.marker, linestyle=mark.dash, label=label)
    line.set_markeredgecolor("white")
    return line


def _caption(facts: FigureData, machine: str | None) -> str:
    seeds = {len(seeds) for seeds in by_name(facts.curves).values()}
    spread = "One training seed each: no band."
    if max(seeds) > 1:
        spread = (
            f"{' or '.join(map(str, sorted(seeds)))} training seeds: lines are means, linear "
            "between validations, bands from the lowest seed to the highest."
        )
    others = sorted({curve.machine for curve in facts.curves} - {machine})
    elsewhere = f" †: timed on {'; '.join(others)}." if others else ""
    return (
        f"{facts.dataset}: accuracy on validation classes during training, a marker for each "
        f"validation; time does not count the validations themselves. {spread} Names in the order "
        f"of their last accuracy.{elsewhere} {facts.source}"
    )
