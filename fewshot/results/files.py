"""The files of a cell and of a training: their schema, atomic writing, reading.

A folder is written under a temporary name and renamed, so that one with its final name is whole.

    <results>/<benchmark>/<cell id>/     run.json  curve.csv  episodes.parquet  disjoint.parquet
                                         examples.parquet
    <results>/trainings/<training id>/   training.json  curve.csv  checkpoint.pt
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fewshot.errors import UserError
from fewshot.files import new_folder
from fewshot.results.records import RunRecord, TrainingRecord

SCHEMA = 1
TRAININGS = "trainings"
CELL_FILES = ("run.json", "curve.csv", "episodes.parquet")
DISJOINT = "disjoint.parquet"
EXAMPLES = "examples.parquet"
TRAINING_FILES = ("training.json", "curve.csv", "checkpoint.pt")
EPISODE_COLUMNS = {"accuracy", "nll", "adapt_ms", "predict_ms"}
EXAMPLE_COLUMNS = {"episode", "query", "predicted"}
CURVE_COLUMNS = ["step", "seconds", "images", "loss", "lr", "val_accuracy"]


@dataclass(frozen=True, eq=False)
class CellResult:
    """A finished cell as it stands on disk.

    run: its run.json. episodes: an episode score a line. disjoint: the same over episodes that
    share no image. examples: what the learner called each query image of the first episodes
    (episode, query, predicted; see `evaluate.Score`). Cells of earlier versions lack the last two.
    """

    path: Path
    run: RunRecord
    episodes: pd.DataFrame
    disjoint: pd.DataFrame | None
    examples: pd.DataFrame | None = None


def is_complete(folder: Path, files: Sequence[str] = CELL_FILES) -> bool:
    """Return whether all files of a cell (or of a training) are there."""
    return all((folder / name).is_file() for name in files)


def write_cell(
    folder: Path,
    run: RunRecord,
    curve: Sequence[Mapping[str, Any]],
    episodes: pd.DataFrame,
    disjoint: pd.DataFrame | None = None,
    examples: pd.DataFrame | None = None,
) -> None:
    """Write the files of a cell, all or none; an older cell of that name is replaced."""
    with new_folder(folder) as temporary:
        write_json(temporary / "run.json", {"schema": SCHEMA, **run.json})
        write_curve(temporary / "curve.csv", curve)
        episodes.to_parquet(temporary / "episodes.parquet", index=False)
        for name, frame in ((DISJOINT, disjoint), (EXAMPLES, examples)):
            if frame is not None:
                frame.to_parquet(temporary / name, index=False)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write readable JSON with a final newline."""
    path.write_text(json.dumps(values, indent=2) + "\n")


def write_curve(path: Path, curve: Sequence[Mapping[str, Any]]) -> None:
    """Write a line for each validation; a learner that is not trained has the header alone."""
    pd.DataFrame(list(curve), columns=CURVE_COLUMNS).to_csv(path, index=False)


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Read the validations that `write_curve` wrote."""
    return [{str(k): v for k, v in line.items()} for line in pd.read_csv(path).to_dict("records")]


def read_training(folder: Path) -> TrainingRecord:
    """Read the training.json of a finished training. Raises UserError where it is damaged."""
    path = folder / "training.json"
    return TrainingRecord.from_json(_read_json(path), path)


def read_cells(folder: Path) -> list[CellResult]:
    """Read all finished cells below a results folder, in the order of their paths.

    Raises UserError when there are none, or when a file is not what its name says.
    """
    cells = [
        read_cell(path.parent)
        for path in sorted(folder.glob("**/run.json"))
        if is_complete(path.parent) and not path.parent.name.startswith(".")
    ]
    if not cells:
        raise UserError(f"no finished cells in {folder}")
    return cells


def read_cell(folder: Path) -> CellResult:
    """Read one finished cell. Raises UserError when a file is not what its name says."""
    path = folder / "run.json"
    run = _read_json(path)
    schema = run.get("schema") if isinstance(run, dict) else None
    if schema != SCHEMA:
        raise UserError(f"{path}: schema {schema}, expected {SCHEMA}")
    disjoint, examples = folder / DISJOINT, folder / EXAMPLES
    return CellResult(
        folder,
        RunRecord.from_json(run, path),
        read_frame(folder / "episodes.parquet", EPISODE_COLUMNS),
        read_frame(disjoint, EPISODE_COLUMNS) if disjoint.is_file() else None,
        read_frame(examples, EXAMPLE_COLUMNS) if examples.is_file() else None,
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None


def read_frame(
    path: Path,
    columns: Iterable[str],
    read: Callable[[Path], pd.DataFrame] = pd.read_parquet,
) -> pd.DataFrame:
    """Read a table that has these columns. Raises UserError where the file is not one."""
    try:
        frame = read(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if missing := set(columns) - set(frame.columns):
        raise UserError(f"{path}: no {', '.join(sorted(missing))}")
    return frame
