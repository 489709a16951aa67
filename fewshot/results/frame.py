"""The cells of a folder as one value: their table rows, and frames for pandas. Needs no torch."""

import os
from pathlib import Path

import pandas as pd

from fewshot.results.files import CellResult, read_cells
from fewshot.results.rows import TableRow, table_rows
from fewshot.results.timing import episode_time, trained_on
from fewshot.statistics.intervals import mean_ci95


class Results(tuple[CellResult, ...]):
    """Cells in the order of their paths; whatever takes a sequence of cells takes this."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Results of {len(self)} cells>"

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """The cells, with all that their files hold."""
        return tuple(self)

    def rows(self) -> list[TableRow]:
        """Return the rows of their table, the best in the last column first.

        Raises UserError when cells that share a column come from different images or episodes.
        """
        return table_rows(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a line a cell. Accuracies are fractions; units stand in names.

        ci95: half-width of the 95 % interval over episodes. images, train_s and the others of a
        training are missing for a learner that is not trained.
        """
        return pd.DataFrame([_line(cell) for cell in self])

    def episodes(self) -> pd.DataFrame:
        """Return a line an episode score, with the id of its cell."""
        if not self:
            return pd.DataFrame({"cell": []})
        frames = [cell.episodes.assign(cell=cell.run.cell) for cell in self]
        scores = pd.concat(frames, ignore_index=True)
        return scores[["cell", *(name for name in scores if name != "cell")]]


def read_results(folder: str | os.PathLike[str]) -> Results:
    """Read all finished cells below a results folder.

    Raises UserError when there are none, or when a file is not what its name says.
    """
    return Results(read_cells(Path(folder)))


def _line(cell: CellResult) -> dict[str, object]:
    run, scoring, training = cell.run, cell.run.config.scoring, cell.run.training
    accuracy, ci95 = mean_ci95(cell.episodes["accuracy"].to_numpy())
    return {
        "cell": run.cell,
        "benchmark": run.config.benchmark,
        "dataset": run.config.scored_on,
        "trained_on": run.trained_on.name if training else None,
        "backbone": run.config.training.backbone,
        "learner": run.config.training.learner,
        "label": run.config.label,
        "n_way": scoring.n_way,
        "n_shot": scoring.n_shot,
        "n_query": scoring.n_query,
        "seed": run.config.training.seed,
        "accuracy": accuracy,
        "ci95": ci95,
        "episodes": len(cell.episodes),
        "adapt_predict_ms": 1000 * episode_time(cell).seconds,
        "adapt_ms": float(cell.episodes["adapt_ms"].mean()),
        "images": training and training.spent.images,
        "train_s": training and training.spent.train_s,
        "machine": trained_on(run).words,
    }
