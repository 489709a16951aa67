"""The outer loop: batches, budget, schedule, validation, selection.

It is handed the training classes alone, and a function that scores a learner on validation
episodes; it never holds a validation or test image.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from fewshot.episodes.source import EpisodeSource
from fewshot.harness.batches import batches, image_count
from fewshot.harness.checkpoint import TrainingCheckpoint
from fewshot.harness.clock import Clock
from fewshot.harness.optimizers import Optimizer, lr_factor, make_optimizer
from fewshot.harness.recipe import Recipe
from fewshot.harness.selection import CurvePoint, Kept, Losses
from fewshot.protocols import Augment, Batch, Learner

Validate = Callable[[Learner], float]
MOST_VALIDATION = 0.2  # of the time of training: more than that is said


@dataclass(frozen=True)
class Spent:
    """What a training cost.

    train_s: of all steps, but for validation and warm-up; `seconds`: of them, by part of the step.
    warmup_s: of copying the images to a GPU, and of the first steps at each size of images, in
    which kernels are chosen or compiled. cpu_s: this process's processor seconds in train_s.
    others: the share of the machine's processor time that others used meanwhile, in 0..1; None
    where the system does not tell. resumed: how often it went on after an interrupt.
    """

    steps: int
    images: int
    train_s: float
    validate_s: float
    warmup_s: float
    cpu_s: float
    others: float | None
    seconds: dict[str, float]
    resumed: int


@dataclass(frozen=True)
class Trained:
    """A training's outcome; the learner holds the selected weights."""

    curve: list[CurvePoint]
    spent: Spent
    selected_step: int


def train(
    learner: Learner,
    source: EpisodeSource,
    augment: Augment,
    validate: Validate,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    say: Callable[[str], None] = lambda line: None,
    journal: TrainingCheckpoint | None = None,
    memory_gb: float | None = None,
) -> Trained:
    """Train `learner` in place until the recipe's budget is spent; keep the selected weights.

    Batch number i is a pure function of (seed, i). The augmentation has a generator of its own.
    `validate` gives an accuracy; `say` is told of each validation. With a `journal` it goes on from
    the note of an earlier run, if there is one, to the weights that it would have had without the
    interrupt: all that a learner remembers must be in its state_dict. memory_gb: as in `Images`.
    Raises DivergedError when the loss explodes or stops being a number.
    """
    clock, kept = Clock(device), Kept(learner)
    step = images = warmup_images = resumed = 0
    validate_s, steps_at = 0.0, Counter[int]()
    generator = torch.Generator(device).manual_seed(seed)
    learner.train()
    with _progress_bar() as bar, clock.running():
        with clock.warming():
            optimizer = make_optimizer(learner.parameters(), recipe)
            make_batch = batches(learner, source, augment, recipe, seed, generator, memory_gb)
            outer_step = _outer_step(learner, make_batch, optimizer, recipe, clock, kept, device)
            parts: dict[str, _Stateful] = {
                "learner": learner,
                "optimizer": optimizer,
                "clock": clock,
                "kept": kept,
                "random": _Random(generator),
            }
            if journal and (note := journal.read()):
                for name, part in parts.items():
                    part.load_state_dict(note[name])
                step, images, warmup_images, validate_s, resumed = note["counts"]
                resumed += 1
                say(f"    goes on from step {step:,}, {images:,} images")
        while (progress := _progress(recipe, step, images, clock.total)) < 1:
            lr = _set_lr(optimizer, recipe, progress)
            edge = recipe.edge_at(progress, source.image_size)
            warms_up = steps_at[edge] < _warmup_steps(recipe, device)
            with clock.warming() if warms_up else nullcontext():
                loss, n_images = outer_step(step, edge)
            step += 1
            images += n_images
            steps_at[edge] += 1
            if warms_up:
                warmup_images += n_images
            progress = _progress(recipe, step, images, clock.total)
            if _validation_is_due(recipe, len(kept.curve), progress, clock.total):
                with clock.paused():
                    kept.check([(step, loss)])
                    start = clock.now()
                    accuracy = validate(learner)
                    learner.train()
                    validate_s += clock.now() - start
                    point = CurvePoint(step, clock.total, images, loss.item(), lr, accuracy)
                    kept.add(point, learner)
                    say(f"    {min(100, 100 * progress):3.0f} %  {_words(point)}")
            if journal and journal.is_due():
                with clock.paused():
                    if _progress(recipe, step, images, clock.total) < 1:
                        counts = [step, images, warmup_images, validate_s, resumed]
                        states = {name: part.state_dict() for name, part in parts.items()}
                        journal.write({**states, "counts": counts})
            rate = (images - warmup_images) / max(clock.total, 1e-9)
            _report(bar, progress, rate, loss, kept.curve)
    kept.check([(step, loss)])
    selected_step = kept.select(learner, recipe.select, step)
    learner.eval()
    if recipe.validate_every_s and validate_s > MOST_VALIDATION * clock.total:
        say(f"    validation took {validate_s:.0f} s beside {clock.total:.0f} s of training")
    use = clock.use
    spent = Spent(
        step,
        images,
        clock.total,
        validate_s,
        clock.warmup_s,
        use.cpu_s,
        use.others,
        clock.seconds,
        resumed,
    )
    return Trained(kept.curve, spent, selected_step)


def _warmup_steps(recipe: Recipe, device: torch.device) -> int:
    """Steps at each size of images that are not timed: compiled ones record their CUDA graphs in
    the second.
    """
    return 2 if recipe.compile and device.type == "cuda" else 1


def _outer_step(
    learner: Learner,
    make_batch: Callable[[int, int], Batch],
    optimizer: Optimizer,
    recipe: Recipe,
    clock: Clock,
    kept: Kept,
    device: torch.device,
) -> Callable[[int, int], tuple[Tensor, int]]:
    """The function from a step's number and the edge of its images to its loss and their number."""
    learner_loss, losses = _loss_of(learner, recipe, device), Losses(device)

    def outer_step(step: int, edge: int) -> tuple[Tensor, int]:
        with clock.part("data"):
            batch = make_batch(step, edge)
        with clock.part("forward"):
            try:
                loss = learner_loss(batch)
            except ValueError:
                # Weights that are no numbers: a head finds out before a GPU's loss has come over.
                kept.check(losses.latest)
                raise
        kept.check(losses.arrived(step + 1, loss))
        with clock.part("backward"):
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        with clock.part("optimizer"):
            optimizer.step()
        return loss, image_count(batch)

    return outer_step


class _Stateful(Protocol):
    """What a journal can note and give back."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class _Random:
    """The streams that a training draws from: the augmentation's, and torch's own (dropout)."""

    def __init__(self, augmentation: torch.Generator) -> None:
        self._generators = {"augmentation": augmentation, "cpu": torch.default_generator}
        device = augmentation.device
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            self._generators["cuda"] = torch.cuda.default_generators[index]

    def state_dict(self) -> dict[str, Tensor]:
        """The state of each."""
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Draw what would have come next."""
        for name, generator in self._generators.items():
            generator.set_state(state[name])


def _progress(recipe: Recipe, step: int, images: int, seconds: float) -> float:
    """The share of the budget spent: of the one, among those given, that runs out first."""
    shares = [
        spent / budget
        for spent, budget in (
            (step, recipe.steps),
            (images, recipe.images),
            (seconds, recipe.seconds),
        )
        if budget is not None
    ]
    return max(shares)


def _loss_of(learner: Learner, recipe: Recipe, device: torch.device) -> Callable[[Batch], Tensor]:
    """The learner's loss; compiled, on a GPU into CUDA graphs, where the recipe asks for it.

    Validation calls the learner as it is: its batches have other shapes.
    """
    if not recipe.compile:
        return learner.loss
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    compiled: Callable[[Batch], Tensor] = torch.compile(learner.loss, dynamic=False, mode=mode)
    return compiled


def _set_lr(optimizer: Optimizer, recipe: Recipe, progress: float) -> float:
    """Give the optimiser the learning rate of this share of the budget; that of the recipe."""
    lr = recipe.lr * lr_factor(recipe, progress)
    for group in optimizer.param_groups:
        group["lr"] = lr
    return lr


def _validation_is_due(recipe: Recipe, done: int, progress: float, seconds: float) -> bool:
    """By shares of the budget, or by seconds; then the end of the training is validated too."""
    # The margin is for rounding: 49 * (1 / 49) is less than 1.
    if recipe.validate_every_s is None:
        return progress * recipe.validations + 1e-9 >= done + 1
    return progress >= 1 or seconds >= recipe.validate_every_s * (done + 1)


def _words(point: CurvePoint) -> str:
    return (
        f"{point.images:,} images  {point.seconds:,.0f} s  loss {point.loss:.3f}  "
        f"val {100 * point.val_accuracy:.2f} %"
    )


def _progress_bar() -> "tqdm[Any]":
    """A bar over the budget in percent, on a terminal; nothing in a pipe."""
    form = "    {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    # disable=None: a bar on a terminal alone.
    return tqdm(total=100.0, bar_format=form, disable=None, leave=False, mininterval=0.5)


def _report(
    bar: "tqdm[Any]",
    progress: float,
    rate: float,
    loss: Tensor,
    curve: list[CurvePoint],
) -> None:
    # The loss is read only when the bar is due to be drawn: reading it waits for the device.
    if bar.update(min(100.0, 100 * progress) - bar.n):
        accuracy = f", val {100 * curve[-1].val_accuracy:.1f} %" if curve else ""
        bar.set_postfix_str(f"{rate:,.0f} img/s, loss {loss.item():.3f}{accuracy}", refresh=False)
