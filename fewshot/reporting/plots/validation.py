"""Validation accuracy over seconds of training and over images seen."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fewshot.reporting.plots.curves import Curve, Spent, band, by_name
from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.points import DAGGER, either, elsewhere, main_machine
from fewshot.reporting.plots.scales import (
    percent_limits,
    shape_title,
    thousands_scale,
    time_scale,
)
from fewshot.reporting.plots.style import draw_page, shown_name

PANEL = 3.0  # inches
SHADE = 0.18


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    if not facts.curves:
        return "no validation curve"
    named, shapes = by_name(facts.curves), facts.by_shape
    machines = [curve.machine for curve in facts.curves]
    machine = main_machine(machines)
    key = [
        _handle(facts, name, named[name][0].machine != machine)
        for name in sorted(named, key=lambda name: -_last(named[name]))
    ]
    caption = _caption(facts, elsewhere(machines, machine))
    figure, panels = draw_page(caption, [PANEL] * len(shapes), 2, between=0.25, key=key)
    for axes, (shape, curves) in zip(panels, shapes.items(), strict=True):
        axes[0].set_title(shape_title(facts.dataset, shape))
        _panels(axes, facts, curves)
    return figure


def _last(seeds: Sequence[Curve]) -> float:
    return max(float(curve.accuracy_V[-1]) for curve in seeds)


def _panels(panels: Sequence[Axes], facts: FigureData, curves: Sequence[Curve]) -> None:
    over_time, over_images = panels
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
    mark, found = facts.marks[name], band(seeds, over)
    axes.plot(unit * found.x_G, 100 * found.mean_G, **mark.line)
    if len(seeds) > 1:
        low, high = 100 * found.low_G, 100 * found.high_G
        axes.fill_between(unit * found.x_G, low, high, color=mark.color, alpha=SHADE, linewidth=0)


def _handle(facts: FigureData, name: str, is_elsewhere: bool) -> Line2D:
    label = shown_name(name).replace("\n", ", ") + (DAGGER if is_elsewhere else "")
    return Line2D([], [], **facts.marks[name].line, label=label)


def _caption(facts: FigureData, others: str) -> str:
    seeds = [len(seeds) for seeds in by_name(facts.curves).values()]
    spread = "One training seed each: no band."
    if max(seeds) > 1:
        spread = (
            f"{either(seeds)} training seeds: lines are means, linear between validations, bands "
            "from the lowest seed to the highest."
        )
    return (
        f"{facts.dataset}: accuracy on validation classes during training, a marker for each "
        f"validation; time does not count the validations themselves. {spread} Names in the order "
        f"of their last accuracy.{others} {facts.source}"
    )
