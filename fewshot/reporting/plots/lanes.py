"""Panels whose lines are names: one lane for each, the first on top."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from fewshot.reporting.plots.style import LINE, shown_name, widest

NAME_GAP = 0.12  # inches between a name and its lane


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
