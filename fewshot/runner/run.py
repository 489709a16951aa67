"""A benchmark, cell by cell: the one module that knows every other.

The only code that opens a test split, once a cell, after its training.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from fewshot import __version__, machine
from fewshot.backbones.precision import float32_products
from fewshot.episodes.augment import AUGMENTS
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError
from fewshot.files import new_folder, only_writer
from fewshot.harness.checkpoint import TrainingCheckpoint
from fewshot.harness.evaluate import Score, evaluate
from fewshot.harness.selection import DivergedError, curve_rows
from fewshot.harness.train import train
from fewshot.learners.registry import source_digest
from fewshot.protocols import Learner
from fewshot.results.files import read_curve, read_training, write_cell, write_curve, write_json
from fewshot.runner.build import build_learner
from fewshot.runner.cells import Cell
from fewshot.runner.validate import classes_trained_on
from fewshot.runner.workspace import Workspace, is_current, is_trained

Say = Callable[[str], None]
DIVERGED = "diverged"  # folder of trainings that did: their last good weights and their curve
KEPT_EPISODES = 8  # whose single predictions a cell keeps: the report shows some of them
COPIES_AUGMENT = "crop_flip_jitter"  # of the support, as Tian et al. (2020) did


@dataclass(frozen=True)
class Summary:
    """What became of the cells of a run: their ids."""

    done: list[str]
    skipped: list[str]
    failed: list[str]


def run_cells(
    cells: Sequence[Cell],
    place: Workspace,
    device: torch.device,
    say: Say,
    force: bool = False,
    train_only: bool = False,
) -> Summary:
    """Run what is missing of these cells; with `force`, all of them.

    With `train_only` they are trained and validated, and no test class is scored: settings are
    chosen so.

    A cell that fails is reported through `say` and leaves the others to be done. Cells that ask
    for the same training share it. An interrupt leaves finished cells and trainings whole, and
    what is underway to be gone on with by the next run.

    Raises UserError for a precision, or a way to compute convolutions, that the device lacks.
    """
    for cell in cells:
        if cell.training.recipe.precision == "tf32" and device.type != "cuda":
            raise UserError(
                f"{cell.id}: precision 'tf32' needs a GPU; here there are fp32 and bf16"
            )
        if cell.training.recipe.convolutions == "winograd" and device.type != "cpu":
            raise UserError(f"{cell.id}: convolutions = 'winograd' is for CPUs")
    run = _Run(place, device, say, machine.describe(device), machine.git_state(), train_only)
    summary = Summary([], [], [])
    trained_now: set[str] = set()
    diverged: dict[str, str] = {}
    for number, cell in enumerate(cells, 1):
        if not force and is_current(cell, place):
            summary.skipped.append(cell.id)
            continue
        say(f"[{number}/{len(cells)}] {cell.id}")
        if cell.training.id in diverged:  # another shot of the same training
            say(f"failed: {cell.id}: {diverged[cell.training.id]}")
            summary.failed.append(cell.id)
            continue
        try:
            machine.free_memory(device)  # of the cell before
            retrain = force and cell.training.id not in trained_now
            with float32_products(tf32=cell.training.recipe.precision == "tf32"):
                _run_cell(cell, run, retrain)
        except UserError:
            raise
        except DivergedError as error:
            say(f"failed: {cell.id}: {error}")
            diverged[cell.training.id] = str(error)
            summary.failed.append(cell.id)
        except Exception as error:
            say(traceback.format_exc().rstrip())
            say(f"failed: {cell.id}: {type(error).__name__}: {error}")
            summary.failed.append(cell.id)
        else:
            trained_now.add(cell.training.id)
            summary.done.append(cell.id)
    return summary


@dataclass(frozen=True)
class _Run:
    """What the cells of one run share; `git` as it stood when the run began."""

    place: Workspace
    device: torch.device
    say: Say
    host: dict[str, Any]
    git: dict[str, Any] | None
    train_only: bool


def _run_cell(cell: Cell, run: _Run, retrain: bool) -> None:
    training, place = cell.training, run.place
    if place.learners[training.learner].trains_on != "nothing":
        with only_writer(place.training_folder(training)):
            if retrain or not is_trained(training, place):
                _run_training(cell, run, afresh=retrain)
    if not run.train_only:
        _score_cell(cell, run)


def _score_cell(cell: Cell, run: _Run) -> None:
    training, place = cell.training, run.place
    folder, train_source = place.training_folder(training), place.open(training.dataset, "train")
    learner = build_learner(training, train_source, run.device, place.learners)
    spent, curve = None, list[dict[str, Any]]()
    if learner.trains_on != "nothing":
        spent, curve = read_training(folder), read_curve(folder / "curve.csv")
        weights = torch.load(folder / "checkpoint.pt", run.device, weights_only=True)
        learner.load_state_dict(weights)
    source = place.open(cell.scored_on, "test")
    if spent:
        # What the backbone knows are pixels scaled by the constants of the set it was trained on.
        source = replace(source, mean=train_source.mean, std=train_source.std)
    machine.reset_peak_memory(run.device)
    augment = AUGMENTS[COPIES_AUGMENT]
    score = evaluate(
        learner,
        source,
        cell.scoring,
        augment,
        run.device,
        disjoint=True,
        keep=KEPT_EPISODES,
        memory_gb=place.memory_gb,
    )
    record = _run_record(cell, learner, train_source, source, score, spent, run)
    rows = score.episodes, score.disjoint, score.predictions
    with only_writer(place.cell_folder(cell)):
        write_cell(place.cell_folder(cell), record, curve, *rows)
    run.say(f"    test accuracy {100 * score.accuracy:.2f} % in {score.total_s:.1f} s")


def _run_training(cell: Cell, run: _Run, afresh: bool) -> None:
    # Cells that differ in test-only options share it: whichever comes first, it is the same.
    training, device, place = cell.training.without_test_options, run.device, run.place
    recipe = training.recipe
    train_source, val_source = (place.open(training.dataset, part) for part in ("train", "val"))
    learner = build_learner(training, train_source, device, place.learners)
    no_augment = AUGMENTS["none"]

    def validate(candidate: Learner) -> float:
        scoring, memory_gb = recipe.val_scoring, place.memory_gb
        score = evaluate(candidate, val_source, scoring, no_augment, device, memory_gb=memory_gb)
        return score.accuracy

    if recipe.precision == "bf16" and device.type == "cpu" and not machine.computes_bf16():
        run.say("    this processor emulates bf16: --set recipe.precision=fp32 may be faster")
    machine.reset_peak_memory(device)
    augment, made_from = AUGMENTS[recipe.augment], place.made_from(training)
    made_by = {"suite": __version__, "git": run.git, "host": run.host}
    journal = TrainingCheckpoint(place.journal(training), {**made_from, **made_by})
    if afresh:
        journal.forget()
    try:
        trained = train(
            learner,
            train_source,
            augment,
            validate,
            recipe,
            training.seed,
            device,
            run.say,
            journal,
            place.memory_gb,
        )
    except DivergedError as error:
        journal.forget()
        with new_folder(place.results / DIVERGED / training.id) as temporary:
            torch.save(error.weights, temporary / "checkpoint.pt")
            write_curve(temporary / "curve.csv", curve_rows(error.curve))
            message = {"message": str(error), "step": error.step, "good_step": error.good_step}
            write_json(temporary / "diverged.json", message)
        raise
    spent = trained.spent
    record = {
        "id": training.id,
        "ran_for": cell.id,
        **made_from,
        "finished": _now(),
        "selected_step": trained.selected_step,
        "spent": asdict(spent),
        "peak_memory_mb": _megabytes(machine.peak_memory_bytes(device)),
        "host": run.host,
        "git": run.git,
    }
    with new_folder(place.training_folder(training)) as temporary:
        torch.save(learner.state_dict(), temporary / "checkpoint.pt")
        write_curve(temporary / "curve.csv", curve_rows(trained.curve))
        write_json(temporary / "training.json", record)
    journal.forget()
    busy = f", others used {100 * spent.others:.0f} % of the machine" if spent.others else ""
    run.say(
        f"    trained {spent.steps:,} steps, {spent.images:,} images in {spent.train_s:.0f} s"
        f"{busy}; warm-up {spent.warmup_s:.1f} s"
    )


def _run_record(
    cell: Cell,
    learner: Learner,
    train_source: EpisodeSource,
    source: EpisodeSource,
    score: Score,
    training: dict[str, Any] | None,
    run: _Run,
) -> dict[str, Any]:
    """run.json: everything a reader needs to defend or to repeat the cell."""
    seen = classes_trained_on(train_source, source) if training else []
    return {
        "status": "done",
        "finished": _now(),
        "suite": __version__,
        "cell": cell.id,
        "config": cell.resolved(),
        "origins": dict(cell.origins),
        "dataset": _identity(source),
        "trained_on": _identity(train_source),
        "test_classes_trained_on": seen,
        "learner_digest": source_digest(type(learner)),
        "episodes_digest": score.digest,
        "protocol": _protocol(cell, learner, training, len(seen), len(source.class_names)),
        "parameters": sum(p.numel() for p in learner.parameters()) if training else 0,
        "training": training and {**training, "shared": training["ran_for"] != cell.id},
        "scoring": {
            "accuracy": score.accuracy,
            "embed_s": score.embed_s,
            "total_s": score.total_s,
            "cpu_s": score.use.cpu_s,
            "others": score.use.others,
            "peak_memory_mb": _megabytes(machine.peak_memory_bytes(run.device)),
        },
        "host": run.host,
        "git": run.git,
    }


def _identity(source: EpisodeSource) -> dict[str, str]:
    return {"name": source.dataset, "fingerprint": source.fingerprint}


def _protocol(
    cell: Cell, learner: Learner, training: dict[str, Any] | None, n_seen: int, n_classes: int
) -> dict[str, Any]:
    """What must be alike for two scores to be compared, and the images seen.

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
        "images": training["spent"]["images"] if training else 0,
    }


def _megabytes(n_bytes: int) -> int:
    return round(n_bytes / 2**20)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def choose_device(name: str, threads: int | None) -> torch.device:
    """The device of this name; 'auto' is a GPU where there is one. Sets torch's CPU threads.

    Raises UserError for a device that torch does not have here.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # streams and graphs are made on the current one
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{name}': {str(error).splitlines()[0]}") from None
    return device
