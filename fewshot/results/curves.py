"""What a training met at each of its validations, as its cells keep it. Needs no torch.

Axes: V validations of a training. Accuracies are fractions.
"""

import math
from dataclasses import dataclass

import numpy as np

from fewshot.errors import UserError
from fewshot.results.files import CURVE_COLUMNS, CellResult, read_curve


@dataclass(frozen=True)
class Validations:
    """Of one training. shape: ways and shots of the validation episodes. seconds_V, images_V:
    spent in training until then.
    """

    shape: tuple[int, int]
    seconds_V: np.ndarray
    images_V: np.ndarray
    accuracy_V: np.ndarray


def validations_of(cell: CellResult) -> Validations | None:
    """Those of the training behind a cell; None for one that was never validated.

    Raises UserError where its curve.csv is not what its name says.
    """
    path = cell.path / "curve.csv"
    try:
        rows = read_curve(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if rows and (missing := set(CURVE_COLUMNS) - rows[0].keys()):
        raise UserError(f"{path}: no {', '.join(sorted(missing))}")
    rows = [row for row in rows if not math.isnan(row["val_accuracy"])]
    if not rows:
        return None
    recipe = cell.run["config"]["training"]["recipe"]
    seconds, images, accuracies = (
        np.array([row[key] for row in rows], dtype=np.float64)
        for key in ("seconds", "images", "val_accuracy")
    )
    return Validations((recipe["val_n_way"], recipe["val_n_shot"]), seconds, images, accuracies)


def first_hit(seconds_V: np.ndarray, accuracy_V: np.ndarray, target: float) -> float:
    """Seconds until a validation first met the target; inf where none did."""
    # A level that is itself one of the accuracies must be met by it, whatever the rounding.
    met = np.flatnonzero(accuracy_V >= target - 1e-12)
    return float(seconds_V[met[0]]) if len(met) else math.inf
