"""A forecast of what `run` would do and cost on the machine at hand; nothing is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch

from fewshot import machine
from fewshot.episodes.sampling import Split
from fewshot.errors import UserError
from fewshot.harness.recipe import Scoring
from fewshot.protocols import FeatureLearner
from fewshot.results.files import TRAINING_FILES, is_complete
from fewshot.runner.build import Classes
from fewshot.runner.cells import Cell, Training
from fewshot.runner.dry_run.flops import (
    Cost,
    DataSize,
    data_size,
    embedding_units,
    episode_units,
    estimate,
    scored_episodes,
    scored_images,
    step_images,
    step_units,
    unit_flops,
)
from fewshot.runner.workspace import Workspace, how_to_get, is_current, is_trained
from fewshot.units import duration

State = Literal["done", "to do", "no data"]
RateOf = Callable[[Training, Classes, int, int], float]
T = TypeVar("T")


@dataclass(frozen=True)
class Forecast:
    """The fate of a cell in a run, and its cost.

    missing: data sets that are not there. training: its cost; None where the training is done or
    shared with a cell above, or where there is none. scoring: None where the cell is done.
    unknown: why there is no estimate.
    """

    cell: Cell
    state: State
    missing: tuple[str, ...] = ()
    training: Cost | None = None
    scoring: Cost | None = None
    unknown: str = ""


def forecast(
    cells: Sequence[Cell], workspace: Workspace, force: bool, rate_of: RateOf
) -> list[Forecast]:
    """Return what `run_cells` would do with each cell, and its cost.

    rate_of: operations a second of a training's backbone, from image size and batch: `Rates.of`.
    """
    estimator = _Estimator(workspace, rate_of)
    counted: set[str] = set()
    found = []
    for cell in cells:
        missing = tuple(workspace.missing_data(cell))
        if not force and _is_done(cell, workspace, missing):
            found.append(Forecast(cell, "done", missing))
            continue
        training, scoring, unknown = None, None, ""
        trained = not force and _is_trained(cell.training, workspace, missing)
        try:
            scoring = estimator.scoring(cell)
            if not trained and cell.training.id not in counted:
                training = estimator.training(cell.training)
        except UserError:
            raise
        except Exception as error:  # of a learner from outside the suite
            unknown = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        counted.add(cell.training.id)
        state: State = "no data" if missing else "to do"
        found.append(Forecast(cell, state, missing, training, scoring, unknown))
    return found


def _is_done(cell: Cell, workspace: Workspace, missing: tuple[str, ...]) -> bool:
    """Say whether a cell is done; without its data nobody knows whether its images are the same."""
    return is_complete(workspace.cell_folder(cell)) if missing else is_current(cell, workspace)


def _is_trained(training: Training, workspace: Workspace, missing: tuple[str, ...]) -> bool:
    if missing:
        return is_complete(workspace.training_folder(training), TRAINING_FILES)
    return is_trained(training, workspace)


class _Estimator:
    """An estimator of trainings and cells; whatever several share is counted once."""

    def __init__(self, workspace: Workspace, rate_of: RateOf) -> None:
        self._workspace, self._rate_of = workspace, rate_of
        self._known: dict[str, Any] = {}

    def training(self, training: Training) -> Cost | None:
        """Return the cost of a training with its validations; None for a learner without one."""
        classes, recipe = self._workspace.classes(training), training.recipe
        if classes.learner.trains_on == "nothing":
            return None
        if not (recipe.steps or recipe.images or recipe.seconds):
            raise UserError(f"{training.id}: the recipe has no budget: steps, images or seconds")
        size, network = self._size(training.dataset), _network(training)
        batch = f"{recipe.train_shape} {recipe.episodes_per_step} {recipe.batch_size}"
        units = self._once(f"step {network} {batch}", lambda: step_units(training, classes))
        validation = self._scoring_units(training, recipe.val_scoring, size, "val")
        flops = self._unit_flops(training, size.image_size)
        step = Cost(step_images(recipe, classes.learner), units * self._mean_flops(training, size))
        return estimate(recipe, step, validation * flops, self._rate(training, size))

    def scoring(self, cell: Cell) -> Cost:
        """Return the cost of scoring a cell on its test episodes."""
        training, size = cell.training, self._size(cell.scored_on)
        units = self._scoring_units(training, cell.scoring, size, "test")
        if not units:
            return Cost()
        flops = units * self._unit_flops(training, size.image_size)
        return Cost(0, flops, flops / self._rate(training, size))

    def _scoring_units(
        self, training: Training, scoring: Scoring, size: DataSize, split: Split
    ) -> float:
        classes, network = self._workspace.classes(training), _network(training)
        images, copies = size.images[split], scoring.support_copies
        if issubclass(classes.learner, FeatureLearner):
            of_image = self._once(network, lambda: embedding_units(training, classes))
            return scored_images(scoring, images) * of_image
        shape = replace(scoring.shape, n_shot=scoring.n_shot * max(1, copies))
        key = f"episode {network} {shape}"
        of_episode = self._once(key, lambda: episode_units(training, classes, shape))
        return scored_episodes(scoring, images, disjoint=split == "test") * of_episode

    def _mean_flops(self, training: Training, size: DataSize) -> float:
        """Return the mean operations of a training image, where a part of them is smaller."""
        since, flops = 0.0, 0.0
        for until, edge in (*training.recipe.image_sizes, (1.0, size.image_size)):
            flops += (until - since) * self._unit_flops(training, edge)
            since = until
        return flops

    def _unit_flops(self, training: Training, px: int) -> float:
        classes = self._workspace.classes(training)
        key = f"unit {training.backbone} {training.backbone_options} {px}"
        return self._once(key, lambda: unit_flops(training, classes, px))

    def _rate(self, training: Training, size: DataSize) -> float:
        classes = self._workspace.classes(training)
        images = step_images(training.recipe, classes.learner)
        return self._rate_of(training, classes, size.image_size, images)

    def _size(self, dataset: str) -> DataSize:
        return self._once(f"size {dataset}", lambda: data_size(dataset, self._workspace))

    def _once(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = make()
        known: T = self._known[key]
        return known


def _network(training: Training) -> str:
    """Return a key of what decides how often a training's network is run for an image."""
    t = training
    return f"{t.backbone} {t.backbone_options} {t.learner} {t.learner_options}"


# Words ---------------------------------------------------------------------------------------


def lines_of(found: Sequence[Forecast], device: torch.device) -> list[str]:
    """Return a line for each cell, its id first, and sums of what is to do or has no data."""
    width = max(len(f.cell.id) for f in found)
    lines = [f"{f.cell.id:{width}}  {_words(f)}".rstrip() for f in found]
    about = machine.describe(device)
    machine_name = about["gpu"] or f"{about['processor']}, {about['threads']} threads"
    lines.append("")
    for state in ("to do", "no data"):
        part = [f for f in found if f.state == state]
        if part or state == "to do":
            lines.append(f"{state}: {_sum(part)}" + (f" on {machine_name}" if part else ""))
    return lines


def _words(f: Forecast) -> str:
    if f.state == "done":
        return "done"
    parts = [how_to_get(name) for name in f.missing]
    if f.unknown:
        return "  ".join([f.state, "; ".join([*parts, f"no estimate ({f.unknown})"])])
    parts += [f"training {cost_words(f.training)}"] if f.training else []
    parts += [f"scoring {duration(f.scoring.seconds, hours=True).text}"] if f.scoring else []
    return "  ".join([f.state, "; ".join(parts)])


def _sum(part: Sequence[Forecast]) -> str:
    costs = [c for f in part for c in (f.training, f.scoring) if c]
    trainings = sum(f.training is not None for f in part)
    counts = f"{len(part)} cells, {trainings} trainings"
    unknown = sum(bool(f.unknown) for f in part)
    more = f", and {unknown} cells without an estimate" if unknown else ""
    return f"{counts}: {cost_words(sum(costs, Cost()))}{more}" if part else counts


def cost_words(cost: Cost) -> str:
    """Return a cost in words: images, operations and time."""
    time = duration(cost.seconds, hours=True).text
    return f"{cost.images:,} images, {_flops(cost.flops)}, {time}"


def _flops(flops: float) -> str:
    for size, prefix in ((1e18, "E"), (1e15, "P")):
        if flops >= size:
            return f"{flops / size:.1f} {prefix}FLOP"
    return f"{flops / 1e12:.1f} TFLOP"
