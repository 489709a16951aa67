"""A benchmark, cell by cell: the one module that knows every other.

The only code that opens a test split, once a cell, after its training.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fewshot import __version__, host
from fewshot.atomic import new_folder, only_writer
from fewshot.backbones import BACKBONES
from fewshot.backbones.norm import BatchNorm
from fewshot.backbones.precision import Bf16
from fewshot.config import Cell, OptionClasses, Training, load_benchmark
from fewshot.data import open_source
from fewshot.data.augment import AUGMENTS
from fewshot.errors import UserError, unknown_name
from fewshot.evaluate import Score, evaluate
from fewshot.learners import LEARNERS
from fewshot.outside import Learners, source_digest
from fewshot.protocols import Backbone, EpisodeSource, Learner
from fewshot.results import (
    TRAINING_FILES,
    TRAININGS,
    is_complete,
    read_cell,
    read_curve,
    read_training,
    write_cell,
    write_curve,
    write_json,
)
from fewshot.sampling import EpisodeShape, Split
from fewshot.train import DivergedError, curve_rows, train

Say = Callable[[str], None]
DIVERGED = "diverged"  # folder of trainings that did: their last good weights and their curve
COPIES_AUGMENT = "crop_flip_jitter"  # of the support, as Tian et al. (2020) did


@dataclass(frozen=True)
class Summary:
    """What became of the cells of a run: their ids."""

    done: list[str]
    skipped: list[str]
    failed: list[str]


def shipped_benchmarks() -> dict[str, str]:
    """The benchmark files that come with the suite: name -> TOML text."""
    installed = resources.files("fewshot") / "benchmarks"
    folder = installed if installed.is_dir() else Path(__file__).parent.parent / "benchmarks"
    files = [f for f in folder.iterdir() if f.name.endswith(".toml")]
    return {f.name.removesuffix(".toml"): f.read_text() for f in sorted(files, key=_name)}


def _name(file: Any) -> str:
    return str(file.name)


def load_cells(
    benchmark: str,
    settings: Sequence[str] = (),
    learner: str | None = None,
    learners: Learners = LEARNERS,
) -> list[Cell]:
    """The cells of a shipped benchmark or of a TOML file, those of one learner if one is named.

    learners: every one that the file may name, by name.
    Raises UserError for names that nobody knows, and whatever `load_benchmark` finds.
    """
    if learner is not None and learner not in learners:
        raise unknown_name("learner", learner, learners)
    shipped = shipped_benchmarks()
    if benchmark in shipped:
        name, text = benchmark, shipped[benchmark]
    elif benchmark.endswith(".toml"):
        try:
            name, text = Path(benchmark).stem, Path(benchmark).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{benchmark}: cannot be read: {error}") from None
    else:
        raise unknown_name("benchmark", benchmark, shipped)
    options = OptionClasses(
        learners={name: cls.Config for name, cls in learners.items()},
        backbones={name: cls.Config for name, cls in BACKBONES.items()},
    )
    return load_benchmark(name, text, options, settings, learner)


def check_cells(cells: Sequence[Cell], data_dir: Path, learners: Learners = LEARNERS) -> None:
    """Find a user's mistakes before any time is spent: data sets, class sizes, budgets.

    Raises UserError for the first one. Of the test split it reads how many images there are.
    """
    for cell in cells:
        recipe, scoring = cell.training.recipe, cell.scoring
        _check_ways(cell)
        learner = learners[cell.training.learner]
        trains_on = learner.trains_on
        needs: list[tuple[Split, EpisodeShape]] = [("test", scoring.shape)]
        if trains_on != "nothing":
            if not (recipe.steps or recipe.images or recipe.seconds):
                raise UserError(f"{cell.id}: the recipe has no budget: steps, images or seconds")
            needs.append(("val", recipe.val_scoring.shape))
        if trains_on == "episodes":
            needs.append(("train", recipe.train_shape))
        for split, shape in needs:
            _check_shape(open_source(cell.training.dataset, split, data_dir), shape)
        if trains_on != "nothing":  # images may be too small for the backbone
            train_source = open_source(cell.training.dataset, "train", data_dir)
            _build_backbone(cell.training, learner, train_source)


def _check_ways(cell: Cell) -> None:
    """A head of fixed size meets episodes of its own number of ways alone."""
    recipe, rows = cell.training.recipe, getattr(cell.training.learner_options, "n_way", None)
    for name, n_way in (
        ("recipe.n_way", recipe.n_way),
        ("recipe.val_n_way", recipe.val_n_way),
        ("scoring.n_way", cell.scoring.n_way),
    ):
        if rows is not None and n_way != rows:
            raise UserError(f"{cell.id}: {name} = {n_way}, but learner_options.n_way = {rows}")


def _check_shape(source: EpisodeSource, shape: EpisodeShape) -> None:
    where = f"{source.dataset}, {source.split} split"
    if len(source.class_names) < shape.n_way:
        raise UserError(f"{where}: {len(source.class_names)} classes for {shape.n_way} ways")
    smallest = int(source.class_sizes.argmin())
    size, needed = int(source.class_sizes[smallest]), shape.n_shot + shape.n_query
    if size < needed:
        raise UserError(
            f"{where}: class '{source.class_names[smallest]}' has {size} images, an episode of "
            f"{shape.n_shot} shots and {shape.n_query} queries needs {needed}"
        )


def run_cells(
    cells: Sequence[Cell],
    results: Path,
    data_dir: Path,
    device: torch.device,
    say: Say,
    force: bool = False,
    learners: Learners = LEARNERS,
) -> Summary:
    """Run what is missing of these cells; with `force`, all of them.

    A cell that fails is reported through `say` and leaves the others to be done. Cells that ask
    for the same training share it. An interrupt leaves finished cells and trainings whole and
    everything else to the next run.
    """
    machine, git = host.describe(device), host.git_state()
    place = _Place(results, data_dir, device, say, machine, git, learners)
    summary = Summary([], [], [])
    trained_now: set[str] = set()
    diverged: dict[str, str] = {}
    for number, cell in enumerate(cells, 1):
        if not force and _is_current(cell, place):
            summary.skipped.append(cell.id)
            continue
        say(f"[{number}/{len(cells)}] {cell.id}")
        if cell.training.id in diverged:  # another shot of the same training
            say(f"failed: {cell.id}: {diverged[cell.training.id]}")
            summary.failed.append(cell.id)
            continue
        try:
            _run_cell(cell, place, retrain=force and cell.training.id not in trained_now)
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
class _Place:
    """Where and with what a run is done; `git` as it stood when the run began."""

    results: Path
    data_dir: Path
    device: torch.device
    say: Say
    host: dict[str, Any]
    git: dict[str, Any] | None
    learners: Learners

    def cell_folder(self, cell: Cell) -> Path:
        return self.results / cell.benchmark / cell.id

    def training_folder(self, training: Training) -> Path:
        return self.results / TRAININGS / training.id

    def open(self, training: Training, split: Split) -> EpisodeSource:
        return open_source(training.dataset, split, self.data_dir)

    def made_from(self, training: Training) -> dict[str, str | None]:
        """What a training depends on beside its configuration: the images, an outside learner."""
        return {
            "fingerprint": self.open(training, "train").fingerprint,
            "learner_digest": source_digest(self.learners[training.learner]),
        }


def _is_current(cell: Cell, place: _Place) -> bool:
    """Whether a cell is done, on the images and by the learner that there are now."""
    folder = place.cell_folder(cell)
    if not is_complete(folder):
        return False
    run = read_cell(folder).run
    made_from = {**run["dataset"], "learner_digest": run.get("learner_digest")}
    return _agree(made_from, place.made_from(cell.training))


def _run_cell(cell: Cell, place: _Place, retrain: bool) -> None:
    training = cell.training
    source = place.open(training, "train")
    learner = build_learner(training, source, place.device, place.learners)
    spent, curve = None, list[dict[str, Any]]()
    if learner.trains_on != "nothing":
        folder = place.training_folder(training)
        with only_writer(folder):
            if retrain or not _is_trained(training, place):
                _run_training(cell, learner, place)
        spent, curve = read_training(folder), read_curve(folder / "curve.csv")
        weights = torch.load(folder / "checkpoint.pt", place.device, weights_only=True)
        learner.load_state_dict(weights)
    source = place.open(training, "test")
    host.reset_peak_memory(place.device)
    augment = AUGMENTS[COPIES_AUGMENT]
    score = evaluate(learner, source, cell.scoring, augment, place.device, disjoint=True)
    record = _run_record(cell, learner, source, score, spent, place)
    with only_writer(place.cell_folder(cell)):
        write_cell(place.cell_folder(cell), record, curve, score.episodes, score.disjoint)
    place.say(f"    test accuracy {100 * score.accuracy:.2f} % in {score.total_s:.1f} s")


def _is_trained(training: Training, place: _Place) -> bool:
    folder = place.training_folder(training)
    if not is_complete(folder, TRAINING_FILES):
        return False
    return _agree(read_training(folder), place.made_from(training))


def _agree(recorded: dict[str, Any], made_from: dict[str, str | None]) -> bool:
    return all(recorded.get(key) == value for key, value in made_from.items())


def build_learner(
    training: Training,
    source: EpisodeSource,
    device: torch.device,
    learners: Learners = LEARNERS,
) -> Learner:
    """The untrained learner of a training, its weights drawn from the training's seed.

    Also seeds torch's global stream, from which dropout draws: nowhere else is it seeded.
    """
    torch.manual_seed(training.seed)
    cls = learners[training.learner]
    backbone = _build_backbone(training, cls, source)
    learner = cls(backbone, training.learner_options, len(source.class_names))
    return learner.to(device).to(memory_format=torch.channels_last)


def _build_backbone(training: Training, cls: type[Learner], source: EpisodeSource) -> Backbone:
    own_norm = cls.differentiable_norm
    if own_norm and getattr(training.backbone_options, "drop_rate", 0) > 0:
        raise UserError(
            f"{training.learner}: its gradients need a backbone that drops nothing at random: "
            "set backbone_options.drop_rate = 0"
        )
    backbone = BACKBONES[training.backbone](
        training.backbone_options, source.image_size, norm=BatchNorm if own_norm else nn.BatchNorm2d
    )
    return Bf16(backbone) if training.recipe.precision == "bf16" else backbone


def _run_training(cell: Cell, learner: Learner, place: _Place) -> None:
    training, recipe, device = cell.training, cell.training.recipe, place.device
    train_source, val_source = place.open(training, "train"), place.open(training, "val")
    no_augment = AUGMENTS["none"]

    def validate(candidate: Learner) -> float:
        return evaluate(candidate, val_source, recipe.val_scoring, no_augment, device).accuracy

    host.reset_peak_memory(device)
    augment = AUGMENTS[recipe.augment]
    try:
        trained = train(
            learner, train_source, augment, validate, recipe, training.seed, device, place.say
        )
    except DivergedError as error:
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
        **place.made_from(training),
        "finished": _now(),
        "selected_step": trained.selected_step,
        "spent": asdict(spent),
        "peak_memory_mb": _megabytes(host.peak_memory_bytes(device)),
        "host": place.host,
        "git": place.git,
    }
    with new_folder(place.training_folder(training)) as temporary:
        torch.save(learner.state_dict(), temporary / "checkpoint.pt")
        write_curve(temporary / "curve.csv", curve_rows(trained.curve))
        write_json(temporary / "training.json", record)
    place.say(
        f"    trained {spent.steps:,} steps, {spent.images:,} images in {spent.train_s:.0f} s "
        f"({spent.images / spent.train_s:,.0f} images/s)"
    )


def _run_record(
    cell: Cell,
    learner: Learner,
    source: EpisodeSource,
    score: Score,
    training: dict[str, Any] | None,
    place: _Place,
) -> dict[str, Any]:
    """run.json: everything a reader needs to defend or to repeat the cell."""
    recipe = cell.training.recipe
    trained = training is not None
    return {
        "status": "done",
        "finished": _now(),
        "suite": __version__,
        "cell": cell.id,
        "config": cell.resolved(),
        "origins": dict(cell.origins),
        "dataset": {"name": source.dataset, "fingerprint": source.fingerprint},
        "learner_digest": source_digest(type(learner)),
        "episodes_digest": score.digest,
        "protocol": {
            "transductive": learner.transductive,
            "batch_norm": learner.batch_norm,
            "support_copies": cell.scoring.support_copies,
            "n_query": cell.scoring.n_query,
            "training_classes": "train" if trained else None,
            "selection": recipe.select if trained else None,
            "pretraining": None,
            "precision": recipe.precision,
            "images": training["spent"]["images"] if training else 0,
        },
        "parameters": sum(p.numel() for p in learner.parameters()) if trained else 0,
        "training": training and {**training, "shared": training["ran_for"] != cell.id},
        "scoring": {
            "accuracy": score.accuracy,
            "embed_s": score.embed_s,
            "total_s": score.total_s,
            "peak_memory_mb": _megabytes(host.peak_memory_bytes(place.device)),
        },
        "host": place.host,
        "git": place.git,
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
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{name}': {str(error).splitlines()[0]}") from None
    return device
