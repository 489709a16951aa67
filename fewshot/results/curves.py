"""The validations of a training, as its cells keep them. Needs no torch.

Axes: V validations of a training. Accuracies are fractions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fewshot.results.files import CURVE_COLUMNS, CellResult, read_frame
from fewshot.results.records import Shape


@dataclass(frozen=True)
class Validations:
    """The validations of one training. shape: ways and shots of the validation episodes.

    seconds_V, images_V: spent in training until then.
    """

    shape: Shape
    seconds_V: np.ndarray
    images_V: np.ndarray
    accuracy_V: np.ndarray


def validations_of(cell: CellResult) -> Validations | None:
    """Read the validations of the training behind a cell; None for one that was never validated.

    Raises UserError where its curve.csv is not what its name says.
    """
    curve = read_frame(cell.path / "curve.csv", CURVE_COLUMNS, pd.read_csv)
    curve = curve[curve["val_accuracy"].notna()]
    if curve.empty:
        return None
    columns = (curve[key].to_numpy(np.float64) for key in ("seconds", "images", "val_accuracy"))
    return Validations(cell.run.config.training.validation_shape, *columns)


def target_of(cell: CellResult, asked: float | None) -> float | None:
    """Return the validation accuracy that a training was to reach: its benchmark's, or another."""
    return cell.run.config.target if asked is None else asked


def common_target(cells: Sequence[CellResult], asked: float | None) -> float | None:
    """Return the target that all trained cells have; None where there is none, or several."""
    targets = {target_of(cell, asked) for cell in cells if cell.run.training}
    return targets.pop() if len(targets) == 1 else None


def first_hit(seconds_V: np.ndarray, accuracy_V: np.ndarray, target: float) -> float:
    """Return the seconds until a validation first met the target; inf where none did."""
    # A level that is itself one of the accuracies must be met by it, whatever the rounding.
    met = np.flatnonzero(accuracy_V >= target - 1e-12)
    return float(seconds_V[met[0]]) if len(met) else math.inf
