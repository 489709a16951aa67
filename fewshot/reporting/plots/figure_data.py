"""What the figures of one data set are drawn from, gathered once from the cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewshot.reporting.plots.curves import Curve, curves_of
from fewshot.reporting.plots.points import Point, points_of, provenance
from fewshot.reporting.plots.style import Mark, marks_of
from fewshot.results.comparison import unbeaten
from fewshot.results.files import CellResult
from fewshot.results.rows import column_names, dataset_in, table_rows


@dataclass(frozen=True)
class FigureData:
    """Of one data set: test scores in the order of the table, curves of trainings on it.

    unbeaten: by row's place and column, as in tables; empty where no figure asks for it. target:
    the validation accuracy to reach, None for the rule's; asked: whether the user named it, or
    the benchmark. source: machines and commits.
    """

    dataset: str
    points: tuple[Point, ...]
    curves: tuple[Curve, ...]
    marks: Mapping[str, Mark]
    unbeaten: Mapping[tuple[int, str], bool]
    target: float | None
    asked: bool
    source: str

    @property
    def columns(self) -> list[str]:
        """Columns of the table on this data set, fewer shots first."""
        own = {point.column for point in self.points}
        return [c for c in column_names([point.row for point in self.points]) if c in own]

    def of_column(self, column: str) -> list[Point]:
        """The points of one column of the table."""
        return [point for point in self.points if point.column == column]


def figure_data_of(
    cells: Sequence[CellResult], target: float | None, verdicts: bool = True
) -> list[FigureData]:
    """One for each data set that is scored or trained on, in alphabetical order.

    verdicts: whether rows are tested against each other, which takes longest of all.
    """
    rows = table_rows(cells)
    points = points_of(cells, rows)
    curves = curves_of(cells, points)
    marks = marks_of(sorted({point.name for point in points} | {curve.name for curve in curves}))
    beaten = unbeaten(rows) if verdicts else {}
    datasets = {dataset_in(p.column) for p in points} | {curve.dataset for curve in curves}
    return [
        FigureData(
            dataset=name,
            points=tuple(p for p in points if dataset_in(p.column) == name),
            curves=tuple(curve for curve in curves if curve.dataset == name),
            marks=marks,
            unbeaten=beaten,
            target=_target_of(_cells_of(name, cells, points)) if target is None else target,
            asked=target is not None,
            source=provenance(_cells_of(name, cells, points)),
        )
        for name in sorted(datasets)
    ]


def _target_of(cells: Sequence[CellResult]) -> float | None:
    """The target that the benchmark of these cells sets; None where it sets none, or several."""
    targets = {cell.run["config"].get("target") for cell in cells if cell.run["training"]}
    return targets.pop() if len(targets) == 1 else None


def _cells_of(
    dataset: str, cells: Sequence[CellResult], points: Sequence[Point]
) -> list[CellResult]:
    """Those scored on a data set, or trained on it."""
    ids = {i for p in points if dataset_in(p.column) == dataset for i in p.cell_ids}
    return [
        cell
        for cell in cells
        if cell.run["cell"] in ids or cell.run["config"]["training"]["dataset"] == dataset
    ]
