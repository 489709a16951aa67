"""The outer loop: batches, budget, schedule, validation, selection.

It is handed the training classes alone, and a function that scores a learner on validation
episodes; it never holds a validation or test image.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer, RAdam
from tqdm import tqdm

from fewshot.clock import Clock
from fewshot.config import Recipe
from fewshot.episode import Images, episode_batch, episode_rows
from fewshot.protocols import Augment, Batch, EpisodeSource, ImageBatch, Learner
from fewshot.sampling import draw_batch, draw_episode

Validate = Callable[[Learner], float]
Weights = dict[str, Any]
EXPLODED = 1e4  # a loss above this is as lost as one that is not a number
GPU_CHECK_EVERY = 50  # steps: reading the loss makes a GPU wait


@dataclass(frozen=True)
class CurvePoint:
    """A validation: what had been spent until then, and what it gave (accuracy in 0..1)."""

    step: int
    seconds: float
    images: int
    loss: float
    lr: float
    val_accuracy: float


@dataclass(frozen=True)
class Spent:
    """What a training cost. `seconds` by part of the step; validation is not in them."""

    steps: int
    images: int
    train_s: float
    validate_s: float
    seconds: dict[str, float]


@dataclass(frozen=True)
class Trained:
    """A training's outcome; the learner holds the selected weights."""

    curve: list[CurvePoint]
    spent: Spent
    selected_step: int


class DivergedError(FloatingPointError):
    """The loss exploded or stopped being a number.

    step: the first at which it was seen. weights: those of the last validation before it, or the
    first ones, with the curve until then.
    """

    def __init__(
        self, value: float, step: int, good_step: int, weights: Weights, curve: list[CurvePoint]
    ) -> None:
        since = f"the last good weights are those of step {good_step}"
        super().__init__(f"the loss became {value:.4g} by step {step}; {since}")
        self.step, self.good_step, self.weights, self.curve = step, good_step, weights, curve


def train(
    learner: Learner,
    source: EpisodeSource,
    augment: Augment,
    validate: Validate,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    say: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train `learner` in place until the recipe's budget is spent; keep the selected weights.

    Batch number i is a pure function of (seed, i). The augmentation has a generator of its own.
    `validate` gives an accuracy; `say` is told of each validation.
    Raises DivergedError when the loss explodes or stops being a number.
    """
    make_batch = _batches(learner, source, augment, recipe, seed, device)
    optimizer = _optimizer(learner, recipe)
    clock, curve = Clock(device), list[CurvePoint]()
    good, good_step = _snapshot(learner), 0
    best, best_step, best_accuracy = good, 0, -1.0
    step = images = 0
    validate_s = 0.0
    learner.train()
    with _progress_bar() as bar:
        while (progress := _progress(recipe, step, images, clock.total)) < 1:
            lr = recipe.lr * _lr_factor(recipe, progress)
            for group in optimizer.param_groups:
                group["lr"] = lr
            with clock.part("data"):
                batch = make_batch(step)
            with clock.part("forward"):
                loss = learner.loss(batch)
            if device.type == "cpu" or step % GPU_CHECK_EVERY == 0:
                _check(loss, step + 1, good_step, good, curve)
            with clock.part("backward"):
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
            with clock.part("optimizer"):
                optimizer.step()
            step += 1
            images += _image_count(batch)
            progress = _progress(recipe, step, images, clock.total)
            # The margin is for rounding: 49 * (1 / 49) is less than 1.
            validation_due = progress * recipe.validations + 1e-9 >= len(curve) + 1
            if validation_due:
                loss_value = _check(loss, step, good_step, good, curve)
                start = clock.now()
                accuracy = validate(learner)
                learner.train()
                validate_s += clock.now() - start
                curve.append(CurvePoint(step, clock.total, images, loss_value, lr, accuracy))
                good, good_step = _snapshot(learner), step
                if recipe.select == "best" and accuracy > best_accuracy:
                    best, best_step, best_accuracy = good, step, accuracy
                say(
                    f"    {100 * progress:3.0f} %  {images:,} images  {clock.total:,.0f} s  "
                    f"loss {loss_value:.3f}  val {100 * accuracy:.2f} %"
                )
            _report(bar, progress, images / clock.total, loss, curve)
    _check(loss, step, good_step, good, curve)
    if recipe.select == "best":
        learner.load_state_dict(best)
    else:
        best_step = step
    learner.eval()
    spent = Spent(step, images, clock.total, validate_s, dict(clock.seconds))
    return Trained(curve, spent, best_step)


def _batches(
    learner: Learner,
    source: EpisodeSource,
    augment: Augment,
    recipe: Recipe,
    seed: int,
    device: torch.device,
) -> Callable[[int], Batch]:
    """The function from a step's number to its batch, of the kind that the learner trains on."""
    images = Images(source, device)
    generator = torch.Generator(device).manual_seed(seed)
    rows_I = source.rows
    labels_I = np.repeat(np.arange(len(source.class_sizes)), source.class_sizes)

    def image_batch(step: int) -> ImageBatch:
        chosen = draw_batch(seed, step, len(rows_I), recipe.batch_size)
        x_ICHW = images.augmented(rows_I[chosen], augment, generator)
        return ImageBatch(x_ICHW, torch.from_numpy(labels_I[chosen]).to(device))

    def episodes(step: int) -> Batch:
        first = step * recipe.episodes_per_step
        drawn = [
            draw_episode(seed, source.split, index, source.class_sizes, recipe.train_shape)
            for index in range(first, first + recipe.episodes_per_step)
        ]
        rows = episode_rows(drawn, source.class_starts)
        return episode_batch(rows, images, augment, generator)

    return image_batch if learner.trains_on == "images" else episodes


def _optimizer(learner: nn.Module, recipe: Recipe) -> Optimizer:
    parameters = [p for p in learner.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        return SGD(parameters, recipe.lr, 0.9, weight_decay=recipe.weight_decay, nesterov=True)
    kind = {"adam": Adam, "radam": RAdam}[recipe.optimizer]
    return kind(parameters, recipe.lr, weight_decay=recipe.weight_decay)


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


def _lr_factor(recipe: Recipe, progress: float) -> float:
    """The learning rate over its peak, at this share of the budget."""
    if recipe.schedule == "constant":
        return 1.0
    warmup = recipe.warmup if recipe.schedule == "one_cycle" else 0.0
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup  # one cycle starts at a 25th (Smith, 2018)
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def _check(
    loss: torch.Tensor, step: int, good_step: int, good: Weights, curve: list[CurvePoint]
) -> float:
    """The loss as a number. Raises DivergedError if it is none, or beyond all measure."""
    value = loss.item()
    if not abs(value) < EXPLODED:
        raise DivergedError(value, step, good_step, good, curve)
    return value


def _image_count(batch: Batch) -> int:
    return batch.x_ICHW.shape[0] if isinstance(batch, ImageBatch) else batch.y_TM.numel()


def _snapshot(learner: nn.Module) -> Weights:
    return {key: value.detach().clone() for key, value in learner.state_dict().items()}


def _progress_bar() -> "tqdm[Any]":
    """A bar over the budget in percent, on a terminal; nothing in a pipe."""
    form = "    {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    # disable=None: a bar on a terminal alone.
    return tqdm(total=100.0, bar_format=form, disable=None, leave=False, mininterval=0.5)


def _report(
    bar: "tqdm[Any]",
    progress: float,
    rate: float,
    loss: torch.Tensor,
    curve: list[CurvePoint],
) -> None:
    # The loss is read only when the bar is due to be drawn: reading it waits for the device.
    if bar.update(min(100.0, 100 * progress) - bar.n):
        accuracy = f", val {100 * curve[-1].val_accuracy:.1f} %" if curve else ""
        bar.set_postfix_str(f"{rate:,.0f} img/s, loss {loss.item():.3f}{accuracy}", refresh=False)


def curve_rows(curve: list[CurvePoint]) -> list[dict[str, Any]]:
    """The curve as plain rows."""
    return [asdict(point) for point in curve]
