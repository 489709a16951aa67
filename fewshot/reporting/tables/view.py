"""The choice of cells and columns that a table shows, and their order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewshot.errors import UserError, unknown_name
from fewshot.results.files import CellResult
from fewshot.results.protocol import PROTOCOL, shown
from fewshot.results.rows import table_rows
from fewshot.results.timing import machines_of

GROUPS = ("backbone", "dataset", "learner", "protocol")


@dataclass(frozen=True)
class View:
    """The cells and columns that a table shows.

    columns: names of `columns.COLUMNS`, None for the usual ones. sort: a column to sort by,
    None for the best of the last score first. where: "key=value,value" that each cell must meet.
    group: one of GROUPS. target: the validation accuracy of the time to it, None for that of each
    cell's own benchmark.
    """

    columns: tuple[str, ...] | None = None
    sort: str | None = None
    where: tuple[str, ...] = ()
    group: str | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        """Raise UserError for what no table can show; `columns` checks the names of columns."""
        if self.group is not None and self.group not in GROUPS:
            raise unknown_name("group", self.group, GROUPS)
        if self.target is not None and not 0 < self.target <= 1:
            raise UserError(
                f"target {self.target:g}: an accuracy is above 0 and at most 1, such as 0.6"
            )


Facts = Callable[[CellResult], set[str]]
KEYS: dict[str, Facts] = {
    "benchmark": lambda cell: {cell.run.config.benchmark},
    "dataset": lambda cell: {cell.run.config.scored_on},
    "learner": lambda cell: {cell.run.config.training.learner},
    "backbone": lambda cell: {cell.run.config.training.backbone},
    "seed": lambda cell: {str(cell.run.config.training.seed)},
    "n_way": lambda cell: {str(cell.run.config.scoring.n_way)},
    "n_shot": lambda cell: {str(cell.run.config.scoring.n_shot)},
    "n_query": lambda cell: {str(cell.run.config.scoring.n_query)},
    "machine": lambda cell: {machine.fingerprint for machine in machines_of(cell.run)},
}
"""The keys that cells are chosen by, besides `label` and those of `PROTOCOL`, with a cell's values.

A cell is kept when all its values are asked for: one trained on a machine and scored on another
has two machines.
"""


def kept_cells(cells: Sequence[CellResult], where: Sequence[str]) -> list[CellResult]:
    """Return the cells that meet every condition.

    Raises UserError for a condition that is none, a key or a value that no cell has, and where
    no cell is left.
    """
    kept = list(cells)
    for condition in where:
        key, equals, values = condition.partition("=")
        if not equals:
            raise UserError(f"--where '{condition}': expected key=value")
        facts = _facts(key, cells)
        known = set[str]().union(*(facts(cell) for cell in cells))
        wanted = set(values.split(","))
        for value in sorted(wanted - known):
            raise unknown_name(key, value, (name or "(none)" for name in known))
        kept = [cell for cell in kept if facts(cell) <= wanted]
    if not kept:
        raise UserError(f"no cell is left by --where {' --where '.join(where)}")
    return kept


def _facts(key: str, cells: Sequence[CellResult]) -> Facts:
    if key == "label":
        labels = {cell.run.cell: row.label for row in table_rows(cells) for cell in row.cells}
        return lambda cell: {labels[cell.run.cell]}
    if key in PROTOCOL and key not in KEYS:
        return lambda cell: {shown(getattr(cell.run.protocol, key))}
    if key not in KEYS:
        raise unknown_name("--where key", key, ["label", *KEYS, *PROTOCOL])
    return KEYS[key]
