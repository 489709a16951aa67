"""The cells of a benchmark, trained and scored one after the other.

The only code that opens a test split before a score stands: once a cell, after its training.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fewshot import __version__, machine
from fewshot.backbones.convolutions import check_device
from fewshot.backbones.precision import float32_products
from fewshot.episodes.augment import AUGMENTS
from fewshot.errors import UserError
from fewshot.files import new_folder, only_writer
from fewshot.harness.checkpoint import TrainingCheckpoint
from fewshot.harness.evaluate import evaluate
from fewshot.harness.selection import DivergedError, plain_curve
from fewshot.harness.train import Trained, train
from fewshot.protocols import Learner
from fewshot.results.files import read_curve, read_training, write_cell, write_curve, write_json
from fewshot.results.records import TrainingRecord
from fewshot.runner.build import build_learner
from fewshot.runner.cells import Cell, Training
from fewshot.runner.record import Run, now, peak_memory_mb, run_record
from fewshot.runner.workspace import Workspace, is_current, is_trained

Say = Callable[[str], None]
DIVERGED = "diverged"  # folder of trainings that did: their last good weights and their curve
KEPT_EPISODES = 8  # whose single predictions a cell keeps: the report shows some of them
COPIES_AUGMENT = AUGMENTS["crop_flip_jitter"]  # of the support, as Tian et al. (2020) did


@dataclass(frozen=True)
class Summary:
    """The ids of a run's cells, by what became of them."""

    done: list[str]
    skipped: list[str]
    failed: list[str]


def run_cells(
    cells: Sequence[Cell],
    workspace: Workspace,
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
        check_precision(cell, device)
    run = Run(workspace, device, say, machine.describe(device), machine.git_state(), train_only)
    summary = Summary([], [], [])
    trained_now: set[str] = set()
    diverged: dict[str, str] = {}
    for number, cell in enumerate(cells, 1):
        if not force and is_current(cell, workspace):
            summary.skipped.append(cell.id)
            continue
        say(f"[{number}/{len(cells)}] {cell.id}")
        fault = diverged.get(cell.training.id)  # at another shot of the same training
        if fault is None:
            retrain = force and cell.training.id not in trained_now
            try:
                with float32_products(tf32=cell.training.recipe.precision == "tf32"):
                    _run_cell(cell, run, retrain)
            except UserError:
                raise
            except DivergedError as error:
                fault = diverged[cell.training.id] = str(error)
            except Exception as error:
                say(traceback.format_exc().rstrip())
                fault = f"{type(error).__name__}: {error}"
            else:
                trained_now.add(cell.training.id)
        if fault is not None:
            say(f"failed: {cell.id}: {fault}")
        (summary.done if fault is None else summary.failed).append(cell.id)
    return summary


def check_precision(cell: Cell, device: torch.device) -> None:
    """Raise UserError for a precision, or a way to compute convolutions, that the device lacks."""
    recipe = cell.training.recipe
    if recipe.precision == "tf32" and device.type != "cuda":
        raise UserError(f"{cell.id}: precision 'tf32' needs a GPU; here there are fp32 and bf16")
    check_device(recipe.convolutions, device, cell.id)


def _run_cell(cell: Cell, run: Run, retrain: bool) -> None:
    training, workspace = cell.training, run.workspace
    machine.free_memory(run.device)  # of the cell before
    if workspace.classes(training).learner.trains_on != "nothing":
        with only_writer(workspace.training_folder(training)):
            if retrain or not is_trained(training, workspace):
                _run_training(cell, run, afresh=retrain)
    if not run.train_only:
        _score_cell(cell, run)


def _score_cell(cell: Cell, run: Run) -> None:
    training, workspace = cell.training, run.workspace
    folder = workspace.training_folder(training)
    train_source = workspace.open(training.dataset, "train")
    learner = build_learner(training, workspace.classes(training), train_source, run.device)
    record, curve = None, list[dict[str, Any]]()
    if learner.trains_on != "nothing":
        record, curve = read_training(folder), read_curve(folder / "curve.csv")
        weights = torch.load(folder / "checkpoint.pt", run.device, weights_only=True)
        learner.load_state_dict(weights)
    source = workspace.open(cell.scored_on, "test")
    if record:
        # What the backbone knows are pixels scaled by the constants of the set it was trained on.
        source = replace(source, mean=train_source.mean, std=train_source.std)
    machine.reset_peak_memory(run.device)
    score = evaluate(
        learner,
        source,
        cell.scoring,
        COPIES_AUGMENT,
        run.device,
        disjoint=True,
        keep=KEPT_EPISODES,
        memory_gb=workspace.memory_gb,
    )
    written = run_record(cell, learner, train_source, source, score, record, run)
    tables = score.episodes, score.disjoint, score.predictions
    with only_writer(workspace.cell_folder(cell)):
        write_cell(workspace.cell_folder(cell), written, curve, *tables)
    run.say(f"    test accuracy {100 * score.accuracy:.2f} % in {score.total_s:.1f} s")


def _run_training(cell: Cell, run: Run, afresh: bool) -> None:
    # Cells that differ in test-only options share it: whichever comes first, it is the same.
    training, workspace = cell.training.without_test_options, run.workspace
    recipe, device = training.recipe, run.device
    if recipe.precision == "bf16" and device.type == "cpu" and not machine.computes_bf16():
        run.say("    this processor emulates bf16: --set recipe.precision=fp32 may be faster")
    machine.reset_peak_memory(device)
    made_from, made_by = workspace.made_from(training), {"host": run.host, "git": run.git}
    same = {**made_from, **made_by, "suite": __version__}
    journal = TrainingCheckpoint(workspace.journal(training), same)
    if afresh:
        journal.forget()
    try:
        learner, trained = train_learner(training, workspace, device, run.say, journal)
    except DivergedError as error:
        journal.forget()
        _keep_diverged(error, workspace.results / DIVERGED / training.id)
        raise
    spent = trained.spent
    record = {
        "id": training.id,
        "ran_for": cell.id,
        **made_from,
        "finished": now(),
        "selected_step": trained.selected_step,
        "spent": asdict(spent),
        "peak_memory_mb": peak_memory_mb(device),
        **made_by,
    }
    with new_folder(workspace.training_folder(training)) as temporary:
        torch.save(learner.state_dict(), temporary / "checkpoint.pt")
        write_curve(temporary / "curve.csv", plain_curve(trained.curve))
        write_json(temporary / "training.json", TrainingRecord.from_json(record).json)
    journal.forget()
    busy = f", others used {100 * spent.others:.0f} % of the machine" if spent.others else ""
    run.say(
        f"    trained {spent.steps:,} steps, {spent.images:,} images in {spent.train_s:.0f} s"
        f"{busy}; warm-up {spent.warmup_s:.1f} s"
    )


def train_learner(
    training: Training,
    workspace: Workspace,
    device: torch.device,
    say: Say,
    journal: TrainingCheckpoint | None = None,
) -> tuple[Learner, Trained]:
    """Return the learner of a training with its selected weights, and how its training went.

    Raises DivergedError as `train` does.
    """
    recipe, memory_gb = training.recipe, workspace.memory_gb
    source, val_source = (workspace.open(training.dataset, part) for part in ("train", "val"))
    learner = build_learner(training, workspace.classes(training), source, device)
    augment, seed = AUGMENTS[recipe.augment], training.seed

    def validate(candidate: Learner) -> float:
        how = recipe.val_scoring, AUGMENTS["none"], device
        return evaluate(candidate, val_source, *how, memory_gb=memory_gb).accuracy

    trained = train(
        learner, source, augment, validate, recipe, seed, device, say, journal, memory_gb
    )
    return learner, trained


def _keep_diverged(error: DivergedError, folder: Path) -> None:
    """Write the last good weights of a training that diverged, its curve and when it did."""
    with new_folder(folder) as temporary:
        torch.save(error.weights, temporary / "checkpoint.pt")
        write_curve(temporary / "curve.csv", plain_curve(error.curve))
        message = {"message": str(error), "step": error.step, "good_step": error.good_step}
        write_json(temporary / "diverged.json", message)


def choose_device(name: str, threads: int | None) -> torch.device:
    """Return the device of this name; 'auto' is a GPU where there is one. Sets torch's threads.

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
