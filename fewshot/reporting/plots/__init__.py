"""Figures of finished cells: accuracy, its cost and its spread, for print and for the README.

Rebuilt from result files alone, without torch. Each data set has figures of its own; the same
cells give the same bytes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fewshot.errors import UserError, unknown_name
from fewshot.reporting.plots import distribution, forest, pareto, shots, target, validation
from fewshot.reporting.plots.figure_data import FigureData, figure_data_of
from fewshot.reporting.plots.style import FORMATS, fixed_style, save
from fewshot.results.files import CellResult

Draw = Callable[[FigureData], Figure | str]
FIGURES: dict[str, Draw] = {
    "pareto": pareto.draw,
    "validation": validation.draw,
    "target": target.draw,
    "distribution": distribution.draw,
    "forest": forest.draw,
    "shots": shots.draw,
}
"""A figure, or in words why a data set has none."""


def draw_figures(
    cells: Sequence[CellResult],
    out: Path,
    form: str = "png",
    target: float | None = None,
    only: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Write the figures of each data set to `out` as `<data set>_<figure>.<format>`.

    target: the validation accuracy (a fraction) for the time to it; None for that of the
        benchmark, or of the weakest learner.
    only: one figure's name. say: hears which figures have nothing to show.
    Raises UserError for an unknown format or figure, a target that is no accuracy, unlike cells
    in one table, and when the disk refuses.
    """
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if only is not None and only not in FIGURES:
        raise unknown_name("figure", only, FIGURES)
    if target is not None and not 0 < target <= 1:
        raise UserError(f"target {target:g}: an accuracy is above 0 and at most 1, such as 0.6")
    wanted = {name: draw for name, draw in FIGURES.items() if only in (None, name)}
    written = []
    with fixed_style():
        for facts in figure_data_of(cells, target, verdicts="forest" in wanted):
            for name, draw in wanted.items():
                figure = draw(facts)
                if isinstance(figure, str):
                    say(f"{facts.dataset}: no {name} figure: {figure}")
                    continue
                path = out / f"{_file_name(facts.dataset)}_{name}.{form}"
                save(figure, path, form)
                written.append(path)
    return written


def _file_name(dataset: str) -> str:
    """Return a data set's name as benchmark files have it: it must not lead out of the folder."""
    return "".join(c if c.isalnum() else "_" for c in dataset)
