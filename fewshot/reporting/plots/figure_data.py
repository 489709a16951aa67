"""The data that the figures of one data set are drawn from, gathered once from the cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewshot.reporting.plots.curves import Curve, curves_of
from fewshot.reporting.plots.points import Point, points_of, provenance
from fewshot.reporting.plots.style import Mark, marks_of
from fewshot.results.comparison import unbeaten
from fewshot.results.curves import common_target
from fewshot.results.files import CellResult
from fewshot.results.grouping import grouped
from fewshot.results.records import Shape
from fewshot.results.rows import column_names, dataset_in, table_rows


@dataclass(frozen=True)
class FigureData:
    """The figures' data of one data set: test scores as in the table, curves of trainings on it.

    unbeaten: by the row's place and column, as in tables; empty where no figure asks for it.
    target: the validation accuracy to reach, None for the rule's; asked: whether the user named
    it, or the benchmark. source: machines and commits.
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
        columns = column_names([point.row for point in self.points])
        return [column for column in columns if dataset_in(column) == self.dataset]

    def of_column(self, column: str) -> list[Point]:
        """Return the points of one column of the table."""
        return [point for point in self.points if point.column == column]

    @property
    def by_shape(self) -> dict[Shape, list[Curve]]:
        """The curves by the shape of their validation episodes, fewer ways and shots first."""
        return grouped(sorted(self.curves, key=lambda curve: curve.shape), lambda c: c.shape)


def figure_data_of(
    cells: Sequence[CellResult], target: float | None, verdicts: bool = True
) -> list[FigureData]:
    """Return the data of each data set that is scored or trained on, in alphabetical order.

    verdicts: whether rows are tested against each other, which takes longest of all.
    """
    rows = table_rows(cells)
    points = points_of(rows)
    curves = curves_of(points)
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
            target=common_target(_cells_of(name, cells), None) if target is None else target,
            asked=target is not None,
            source=provenance(_cells_of(name, cells)),
        )
        for name in sorted(datasets)
    ]


def _cells_of(dataset: str, cells: Sequence[CellResult]) -> list[CellResult]:
    """Return the cells that were scored on a data set, or trained on it."""
    return [c for c in cells if dataset in (c.run.config.scored_on, c.run.config.training.dataset)]
