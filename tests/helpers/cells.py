"""Cells by hand, in memory."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fewshot.harness.recipe import Recipe, Scoring
from fewshot.results.files import CellResult
from fewshot.results.records import RunRecord
from fewshot.runner.cells import Cell, Training

PROTOCOL = {
    "transductive": False,
    "batch_norm": "running",
    "support_copies": 0,
    "training_classes": "train",
    "selection": "best",
    "pretraining": None,
    "precision": "fp32",
}


@dataclass(frozen=True)
class Options:
    """Options of a learner or backbone."""

    c: float = 1.0


def made_cell(
    learner="protonet",
    *accuracies,
    backbone="conv4",
    dataset="made",
    n_way=5,
    n_shot=5,
    seed=0,
    c=1.0,
    label="",
    trained=True,
    transductive=False,
    train_s=90.0,
    fingerprint="images-0",
    digest="episodes-0",
    gpu=None,
    git=None,
    images=12345,
    disjoint=None,
    **protocol,
) -> CellResult:
    """A cell by hand, with the fields of run.json that tables read."""
    recipe = Recipe(steps=10)
    training = Training(dataset, backbone, Options(), learner, Options(c), recipe, seed)
    cell = Cell("bench", training, Scoring(n_way, n_shot), label)
    accuracies = accuracies or (0.5, 0.75, 0.25, 0.5)
    spent = {"steps": 10, "images": images, "train_s": train_s, "validate_s": 1.0, "seconds": {}}
    run = {
        "cell": cell.id,
        "config": cell.resolved(),
        "dataset": {"name": dataset, "fingerprint": fingerprint},
        "episodes_digest": digest,
        "protocol": {**PROTOCOL, "transductive": transductive, **protocol},
        "training": {"id": training.id, "spent": spent, "shared": False} if trained else None,
        "host": {"processor": "Abacus", "gpu": gpu, "threads": 2, "versions": {"torch": "2.6"}},
        "git": git,
    }
    episodes = pd.DataFrame(
        {"accuracy": accuracies, "nll": 1.0, "adapt_ms": 0.25, "predict_ms": 0.5}
    )
    apart = None if disjoint is None else pd.DataFrame({"accuracy": disjoint})
    return CellResult(Path("bench") / cell.id, RunRecord.from_json(run), episodes, apart)


def altered(cell, changes) -> CellResult:
    """The cell with other values in its run.json, by dotted keys: "training.spent.images"."""
    run = json.loads(json.dumps(cell.run.json))
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = run
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return replace(cell, run=RunRecord.from_json(run))


N = 80
RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.3, 0.7, N)
BETTER = BASE + 0.05 + RNG.normal(0, 0.02, N)
ALIKE = BASE + RNG.normal(0, 0.02, N)
THREE = [made_cell("low", *BASE), made_cell("high", *BETTER), made_cell("alike", *ALIKE)]
"""Cells of one protocol: `high` is better than the others, which are alike."""
