"""Time to a target accuracy; a miss is shown as a miss."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewshot.reporting.plots.curves import Curve, Reach, default_target, reach
from fewshot.reporting.plots.figure_data import FigureData
from fewshot.reporting.plots.lanes import lane_height, name_lanes, names_room
from fewshot.reporting.plots.points import main_machine
from fewshot.reporting.plots.scales import tick_words, time_unit
from fewshot.reporting.plots.style import MISS_HATCH, PALETTE, Page, draw_page, text_size
from fewshot.results.grouping import grouped

BAR, BAR_HEIGHT = "#9db4d6", 0.62
SIDE = 7.0  # points beside a bar's words


def draw(facts: FigureData) -> Figure | str:
    """Return the figure, or in words why there is none."""
    if not facts.curves:
        return "no validation curve"
    machine = main_machine([curve.machine for curve in facts.curves])
    shapes = sorted({curve.shape for curve in facts.curves})
    curves = [[curve for curve in facts.curves if curve.shape == shape] for shape in shapes]
    targets = [facts.target or default_target(of_shape) for of_shape in curves]
    found = [reach(c, target) for c, target in zip(curves, targets, strict=True)]
    named = [[_name(r, machine) for r in reaches] for reaches in found]
    everyone = [name for names in named for name in names]
    page = Page(
        heights=tuple(len(names) * lane_height(everyone) for names in named),
        columns=1,
        left=names_room(everyone),
    )
    figure, panels = draw_page(page, _caption(facts, machine))
    for i, (axes,) in enumerate(panels):
        way, shot = shapes[i]
        axes.set_title(
            f"{facts.dataset}, {way}-way {shot}-shot: {100 * targets[i]:.1f} % in validation"
        )
        _panel(axes, found[i], named[i])
    return figure


def _name(found: Reach, machine: str | None) -> str:
    return found.name + (" †" if found.machine != machine else "")


def _panel(axes: Axes, found: Sequence[Reach], names: Sequence[str]) -> None:
    name_lanes(axes, names)
    unit, name = time_unit(max(_end(reached) for reached in found))
    axes.set_xlabel(f"training time to the target, wall clock ({name})")
    axes.set_xlim(0, _longest(axes, found) / unit)
    for lane, reached in enumerate(found):
        _bar(axes, lane, reached, unit)


def _longest(axes: Axes, found: Sequence[Reach]) -> float:
    """Return the seconds of the axis on which the words beside each bar have room."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    width = axes.get_window_extent().width
    return max(
        _end(reached) * width / max(1.0, width - text_size(figure, _words(reached))[0] - 2 * SIDE)
        for reached in found
    )


def _end(found: Reach) -> float:
    """Return where a bar and its dots end, in seconds: a miss at the end of its budget."""
    return max(_shown(s, budget) for s, budget in zip(found.seconds, found.budget_s, strict=True))


def _shown(seconds: float, budget_s: float) -> float:
    return seconds if math.isfinite(seconds) else budget_s


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
        for seconds, budget in zip(found.seconds, found.budget_s, strict=True):
            hit = math.isfinite(seconds)
            axes.plot(
                _shown(seconds, budget) / unit,
                lane,
                "o",
                color=PALETTE[0],
                markerfacecolor=PALETTE[0] if hit else "white",
                markeredgewidth=1.0,
                # A ring is seen around a dot that lies on the same place.
                markersize=4.0 if hit else 8.0,
                zorder=4 if hit else 3,
            )
    at = (_end(found) / unit, lane)
    offset = (SIDE, 0)
    axes.annotate(_words(found), at, offset, textcoords="offset points", va="center_baseline")


def _caption(facts: FigureData, machine: str | None) -> str:
    rule = "set by --target." if facts.asked else "that of the benchmark file."
    if facts.target is None:
        rule = (
            "the best validation accuracy of the weakest trained learner here (smallest over "
            "names; median over seeds)."
        )
    sentences = [
        f"{facts.dataset}: training time until a validation first met the target, {rule} Time goes "
        "on between validations, so it is an upper bound."
    ]
    if any(r > 1 for r in _seeds(facts.curves)):
        sentences.append(
            "Bars: median over seeds, a miss counting as never; dots: seeds, open ones missed."
        )
    sentences.append("Hatched, open: not reached by the end of the training.")
    others = sorted({c.machine for c in facts.curves if c.machine != machine})
    if others:
        sentences.append(f"†: timed on {'; '.join(others)}, not to be compared with the others.")
    return " ".join([*sentences, facts.source])


def _seeds(curves: Sequence[Curve]) -> list[int]:
    return [len(seeds) for seeds in grouped(curves, lambda c: (c.name, c.shape)).values()]
