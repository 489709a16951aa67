"""Time to a target accuracy; a miss is shown as a miss."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewshot.reporting.plots.curves import Reach, by_name, default_target, reach
from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.points import DAGGER, elsewhere, main_machine
from fewshot.reporting.plots.scales import (
    lane_height,
    name_lanes,
    names_room,
    shape_title,
    tick_words,
    time_unit,
)
from fewshot.reporting.plots.style import MISS_HATCH, PALETTE, draw_page, text_size, write_beside

BAR, BAR_HEIGHT = "#9db4d6", 0.62
SIDE = 7.0  # points beside a bar's words


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    if not facts.curves:
        return "no validation curve"
    machine = main_machine([curve.machine for curve in facts.curves])
    shapes = facts.by_shape
    targets = [facts.target or default_target(curves) for curves in shapes.values()]
    found = [reach(curves, t) for curves, t in zip(shapes.values(), targets, strict=True)]
    names = [[r.name + (DAGGER if r.machine != machine else "") for r in rs] for rs in found]
    everyone = [name for named in names for name in named]
    figure, panels = draw_page(
        _caption(facts, machine),
        [len(named) * lane_height(everyone) for named in names],
        left=names_room(everyone),
    )
    for (axes,), shape, target, reaches, named in zip(
        panels, shapes, targets, found, names, strict=True
    ):
        title = shape_title(facts.dataset, shape)
        axes.set_title(f"{title}: {100 * target:.1f} % in validation")
        _panel(axes, reaches, named)
    return figure


def _panel(axes: Axes, found: Sequence[Reach], names: Sequence[str]) -> None:
    name_lanes(axes, names)
    unit, name = time_unit(max(_end(reached) for reached in found))
    axes.set_xlabel(f"training time to the target, wall clock ({name})")
    axes.set_xlim(0, _longest(axes, found) / unit)
    for lane, reached in enumerate(found):
        _bar(axes, lane, reached, unit)


def _longest(axes: Axes, found: Sequence[Reach]) -> float:
    """Return the seconds of the axis on which the words beside each bar have room."""
    width = axes.get_window_extent().width
    return max(
        _end(reached) * width / max(1.0, width - text_size(_words(reached))[0] - 2 * SIDE)
        for reached in found
    )


def _ends(found: Reach) -> list[float]:
    """Return where the dot of each seed stands, in seconds: a miss at the end of its budget."""
    pairs = zip(found.seconds, found.budget_s, strict=True)
    return [seconds if math.isfinite(seconds) else budget for seconds, budget in pairs]


def _end(found: Reach) -> float:
    return max(_ends(found))


def _length(found: Reach) -> float:
    return found.median_s if math.isfinite(found.median_s) else max(found.budget_s)


def _words(found: Reach) -> str:
    missed = "" if math.isfinite(found.median_s) else "not reached in "
    seeds = len(found.seconds)
    of_seeds = f" ({found.hits} of {seeds} seeds)" if seeds > 1 else ""
    return f"{missed}{tick_words(_length(found))}{of_seeds}"


def _bar(axes: Axes, lane: int, found: Reach, unit: float) -> None:
    missed = not math.isfinite(found.median_s)
    axes.barh(
        lane,
        _length(found) / unit,
        height=BAR_HEIGHT,
        facecolor="white" if missed else BAR,
        edgecolor=PALETTE[0],
        hatch=MISS_HATCH if missed else None,
        linewidth=0.8,
        zorder=2,
    )
    if len(found.seconds) > 1:
        for seconds, end in zip(found.seconds, _ends(found), strict=True):
            hit = math.isfinite(seconds)
            axes.plot(
                end / unit,
                lane,
                "o",
                color=PALETTE[0],
                markerfacecolor=PALETTE[0] if hit else "white",
                markeredgewidth=1.0,
                # A ring is seen around a dot that lies on the same place.
                markersize=4.0 if hit else 8.0,
                zorder=4 if hit else 3,
            )
    write_beside(axes, _words(found), (_end(found) / unit, lane), SIDE)


def _caption(facts: FigureData, machine: str | None) -> str:
    rule = "set by --target." if facts.asked else "that of the benchmark file."
    if facts.target is None:
        rule = (
            "the best validation accuracy of the weakest trained learner here (smallest over "
            "names; median over seeds)."
        )
    seeds = [len(s) for curves in facts.by_shape.values() for s in by_name(curves).values()]
    several = " Bars: median over seeds, a miss counting as never; dots: seeds, open ones missed."
    machines = [curve.machine for curve in facts.curves]
    others = elsewhere(machines, machine, ", not to be compared with the others")
    return (
        f"{facts.dataset}: training time until a validation first met the target, {rule} Time goes "
        f"on between validations, so it is an upper bound.{several if max(seeds) > 1 else ''} "
        f"Hatched, open: not reached by the end of the training.{others} {facts.source}"
    )
