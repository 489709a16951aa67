"""The files of a cell and of a training: their schema, atomic writing, reading.

A folder is written under a temporary name and renamed, so that one with its final name is whole.

    <results>/<benchmark>/<cell id>/     run.json  curve.csv  episodes.parquet  disjoint.parquet
                                         examples.parquet
    <results>/trainings/<training id>/   training.json  curve.csv  checkpoint.pt
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fewshot.errors import UserError
from fewshot.files import new_folder

SCHEMA = 1
TRAININGS = "trainings"
CELL_FILES = ("run.json", "curve.csv", "episodes.parquet")
DISJOINT = "disjoint.parquet"
EXAMPLES = "examples.parquet"
TRAINING_FILES = ("training.json", "curve.csv", "checkpoint.pt")
RUN_KEYS = {"cell", "config", "dataset", "episodes_digest", "protocol", "training", "host", "git"}
EPISODE_COLUMNS = {"accuracy", "nll", "adapt_ms", "predict_ms"}
EXAMPLE_COLUMNS = {"episode", "query", "predicted"}
CURVE_COLUMNS = ["step", "seconds", "images", "loss", "lr", "val_accuracy"]


@dataclass(frozen=True)
class CellResult:
    """A finished cell as it stands on disk: `run` is run.json, `episodes` a row an episode.

    disjoint: rows of episodes that share no image; cells of earlier versions have none.
    examples: what the learner called each query image of the first episodes (episode, query,
    predicted; see `evaluate.Score`); cells of earlier versions have none.
    """

    path: Path
    run: dict[str, Any]
    episodes: pd.DataFrame
    disjoint: pd.DataFrame | None
    examples: pd.DataFrame | None = None


def is_complete(folder: Path, files: Sequence[str] = CELL_FILES) -> bool:
    """Whether all files of a cell (or of a training) are there."""
    return all((folder / name).is_file() for name in files)


def write_cell(
    folder: Path,
    run: Mapping[str, Any],
    curve: Sequence[Mapping[str, Any]],
    episodes: pd.DataFrame,
    disjoint: pd.DataFrame | None = None,
    examples: pd.DataFrame | None = None,
) -> None:
    """Write the files of a cell, all or none; an older cell of that name is replaced."""
    with new_folder(folder) as temporary:
        write_json(temporary / "run.json", {"schema": SCHEMA, **run})
        write_curve(temporary / "curve.csv", curve)
        episodes.to_parquet(temporary / "episodes.parquet", index=False)
        for name, rows in ((DISJOINT, disjoint), (EXAMPLES, examples)):
            if rows is not None:
                rows.to_parquet(temporary / name, index=False)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Readable JSON with a final newline."""
    path.write_text(json.dumps(values, indent=2) + "\n")


def write_curve(path: Path, curve: Sequence[Mapping[str, Any]]) -> None:
    """One row a validation; only the header for a learner that is not trained."""
    pd.DataFrame(list(curve), columns=CURVE_COLUMNS).to_csv(path, index=False)


def read_curve(path: Path) -> list[dict[str, Any]]:
    """What `write_curve` wrote."""
    return [{str(k): v for k, v in row.items()} for row in pd.read_csv(path).to_dict("records")]


def read_training(folder: Path) -> dict[str, Any]:
    """The training.json of a finished training."""
    record: dict[str, Any] = json.loads((folder / "training.json").read_text())
    return record


def read_cells(folder: Path) -> list[CellResult]:
    """All finished cells below a results folder, in the order of their paths.

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
    """One finished cell. Raises UserError when a file is not what its name says."""
    try:
        run = json.loads((folder / "run.json").read_text())
    except ValueError as error:
        raise UserError(f"{folder / 'run.json'}: not JSON: {error}") from None
    schema = run.get("schema") if isinstance(run, dict) else None
    if schema != SCHEMA:
        raise UserError(f"{folder / 'run.json'}: schema {schema}, expected {SCHEMA}")
    if missing := RUN_KEYS - run.keys():
        raise UserError(f"{folder / 'run.json'}: no {', '.join(sorted(missing))}")
    disjoint, examples = folder / DISJOINT, folder / EXAMPLES
    return CellResult(
        folder,
        run,
        _read_rows(folder / "episodes.parquet", EPISODE_COLUMNS),
        _read_rows(disjoint, EPISODE_COLUMNS) if disjoint.is_file() else None,
        _read_rows(examples, EXAMPLE_COLUMNS) if examples.is_file() else None,
    )


def _read_rows(path: Path, columns: set[str]) -> pd.DataFrame:
    try:
        rows = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if missing := columns - set(rows.columns):
        raise UserError(f"{path}: no {', '.join(sorted(missing))}")
    return rows
