"""A run of a tiny benchmark, and what it left."""

import pandas as pd
import torch
from helpers.tiny import BENCHMARK

from fewshot.results.files import (
    read_cells,
)
from fewshot.results.rows import table_rows
from fewshot.runner import run as suite
from fewshot.runner.validate import check_cells
from fewshot.runner.workspace import open_workspace

CPU = torch.device("cpu")


def go(cells, results, data, say=lambda line: None, force=False):
    return suite.run_cells(cells, open_workspace(results, data), CPU, say, force)


def states(folder):
    """Every file but the locks, with when it was written."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in files}


def outcome(folder):
    """What a run gives but for times: rows of each cell, the curves, and the table's scores."""
    cells = read_cells(folder)
    rows = {c.path.name: c.episodes[["episode", "accuracy", "nll"]].to_numpy() for c in cells}
    curves = {c.path.name: pd.read_csv(c.path / "curve.csv") for c in cells}
    return (
        {name: values.tolist() for name, values in rows.items()},
        {name: curve.drop(columns="seconds").to_csv() for name, curve in curves.items()},
        [
            (row.name, row.backbone, means(row), row.costs.images, row.seeds)
            for row in table_rows(cells)
        ],
    )


def means(row):
    return {name: score.interval() for name, score in row.scores.items()}


def leftovers(folder):
    return [str(p) for p in folder.rglob("*") if ".tmp-" in p.name]


def count_trainings(monkeypatch, before=lambda learner: None):
    """The learners handed to `train`, in order."""
    trained, train = [], suite.train

    def spied(learner, *arguments):
        trained.append(type(learner).__name__)
        before(learner)
        return train(learner, *arguments)

    monkeypatch.setattr(suite, "train", spied)
    return trained


MAML = BENCHMARK.replace('"protonet"', '"maml"\nlearner_options = { n_way = 3 }')


CROSS = BENCHMARK.replace("n_shot = [1, 5]", "n_shot = 5")


def cross_cells(load, *learners):
    """Each learner on tiny, scored there and on near."""
    cells = [*load(CROSS), *load(CROSS, "scoring.dataset=near")]
    return [cell for cell in cells if cell.training.learner in learners]


def check(cells, data):
    """The warnings of these cells on the images in a folder."""
    return check_cells(cells, open_workspace(data, data))
