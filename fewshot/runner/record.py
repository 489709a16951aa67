"""The record of a cell, run.json: everything a reader needs to defend or to repeat it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch

from fewshot import __version__, machine
from fewshot.episodes.source import EpisodeSource
from fewshot.harness.evaluate import Score
from fewshot.protocols import Learner
from fewshot.results.records import RunRecord, TrainingRecord
from fewshot.runner.cells import Cell
from fewshot.runner.validate import classes_trained_on
from fewshot.runner.workspace import Workspace


@dataclass(frozen=True)
class Run:
    """Facts that the cells of one run share; `git` is as it stood when the run began."""

    workspace: Workspace
    device: torch.device
    say: Callable[[str], None]
    host: dict[str, Any]
    git: dict[str, Any] | None
    train_only: bool


def run_record(
    cell: Cell,
    learner: Learner,
    train_source: EpisodeSource,
    source: EpisodeSource,
    score: Score,
    training: TrainingRecord | None,
    run: Run,
) -> RunRecord:
    """Return run.json; `training` is training.json where there was a training."""
    seen = classes_trained_on(train_source, source) if training else []
    record = {
        "status": "done",
        "finished": now(),
        "suite": __version__,
        "cell": cell.id,
        "config": cell.resolved(),
        "origins": dict(cell.origins),
        "dataset": _identity(source),
        "trained_on": _identity(train_source),
        "test_classes_trained_on": seen,
        **run.workspace.digests(cell.training),
        "episodes_digest": score.digest,
        "protocol": _protocol(cell, learner, training, len(seen), len(source.class_names)),
        "parameters": sum(p.numel() for p in learner.parameters()) if training else 0,
        "training": training and {**training.json, "shared": training.ran_for != cell.id},
        "scoring": {
            "accuracy": score.accuracy,
            "embed_s": score.embed_s,
            "total_s": score.total_s,
            "cpu_s": score.use.cpu_s,
            "others": score.use.others,
            "peak_memory_mb": peak_memory_mb(run.device),
        },
        "host": run.host,
        "git": run.git,
    }
    return RunRecord.from_json(record)


def _identity(source: EpisodeSource) -> dict[str, str]:
    return {"name": source.dataset, "fingerprint": source.fingerprint}


def _protocol(
    cell: Cell, learner: Learner, training: TrainingRecord | None, n_seen: int, n_classes: int
) -> dict[str, Any]:
    """Return what must be alike for two scores to be compared, and the images seen.

    n_seen: how many of the n_classes test classes were trained on.
    """
    classes = "train"
    if cell.is_cross_domain:
        classes += f" of {cell.training.dataset}"
        if n_seen:
            classes += f" with {n_seen} of the {n_classes} test classes"
    recipe = cell.training.recipe
    return {
        "transductive": learner.transductive,
        "batch_norm": learner.batch_norm,
        "views": learner.views,
        "support_copies": cell.scoring.support_copies,
        "n_query": cell.scoring.n_query,
        "training_classes": classes if training else None,
        "selection": recipe.select if training else None,
        "pretraining": None,
        "precision": recipe.precision,
        "images": training.spent.images if training else 0,
    }


def peak_memory_mb(device: torch.device) -> int:
    """Return the peak since the last reset of memory on a device, in whole mebibytes."""
    return round(machine.peak_memory_bytes(device) / 2**20)


def now() -> str:
    """Return the time of day in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
