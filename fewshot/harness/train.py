"""A training from its first batch to its selected weights: budget, validation, checkpoints.

It is handed the training classes alone, and a function that scores a learner on validation
episodes; it never holds a validation or test image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from fewshot.episodes.source import EpisodeSource
from fewshot.harness.batches import batches
from fewshot.harness.checkpoint import TrainingCheckpoint
from fewshot.harness.clock import Clock
from fewshot.harness.outer_loop import OuterLoop, Spent, Validate
from fewshot.harness.recipe import Recipe
from fewshot.harness.selection import CurvePoint
from fewshot.protocols import Augment, Learner

MOST_VALIDATION = 0.2
"""Validation that takes a larger share of the training's time is reported."""


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
    clock, generator = Clock(device), torch.Generator(device).manual_seed(seed)
    learner.train()
    with _progress_bar() as bar, clock.running():
        with clock.warming():
            make_batch = batches(learner, source, augment, recipe, seed, generator, memory_gb)
            loop = OuterLoop(learner, recipe, make_batch, clock, generator)
            if journal and journal.restore(loop.parts):
                loop.counts.resumed += 1
                say(f"    goes on from step {loop.counts.step:,}, {loop.counts.images:,} images")
        while (share := loop.share_spent()) < 1:
            loss, lr = loop.step(share, recipe.edge_at(share, source.image_size))
            share = loop.share_spent()
            if _validation_is_due(recipe, len(loop.kept.curve), share, clock.total):
                with clock.paused():
                    point = loop.validated(validate, loss, lr)
                    say(f"    {min(100, 100 * share):3.0f} %  {_words(point)}")
            if journal and journal.is_due():
                with clock.paused():
                    if loop.share_spent() < 1:
                        journal.save(loop.parts)
            _draw(bar, share, loop, loss)
    loop.kept.check([(loop.counts.step, loss)])
    selected_step = loop.kept.select(learner, recipe.select, loop.counts.step)
    learner.eval()
    spent = loop.spent()
    if recipe.validate_every_s and spent.validate_s > MOST_VALIDATION * spent.train_s:
        beside = f"beside {spent.train_s:.0f} s of training"
        say(f"    validation took {spent.validate_s:.0f} s {beside}")
    return Trained(loop.kept.curve, spent, selected_step)


def _validation_is_due(recipe: Recipe, done: int, share: float, seconds: float) -> bool:
    """Say whether a validation follows this step, after `done` of them.

    They come by shares of the budget, or by seconds; then the end of the training has one too.
    """
    # The margin is for rounding: 49 * (1 / 49) is less than 1.
    if recipe.validate_every_s is None:
        return share * recipe.validations + 1e-9 >= done + 1
    return share >= 1 or seconds >= recipe.validate_every_s * (done + 1)


def _words(point: CurvePoint) -> str:
    return (
        f"{point.images:,} images  {point.seconds:,.0f} s  loss {point.loss:.3f}  "
        f"val {100 * point.val_accuracy:.2f} %"
    )


def _progress_bar() -> "tqdm[Any]":
    """Return a bar over the budget in percent for a terminal; in a pipe it draws nothing."""
    form = "    {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    # disable=None: a bar on a terminal alone.
    return tqdm(total=100.0, bar_format=form, disable=None, leave=False, mininterval=0.5)


def _draw(bar: "tqdm[Any]", share: float, loop: OuterLoop, loss: Tensor) -> None:
    # The loss is read only when the bar is due to be drawn: reading it waits for the device.
    if bar.update(min(100.0, 100 * share) - bar.n):
        curve = loop.kept.curve
        accuracy = f", val {100 * curve[-1].val_accuracy:.1f} %" if curve else ""
        words = f"{loop.images_per_s():,.0f} img/s, loss {loss.item():.3f}{accuracy}"
        bar.set_postfix_str(words, refresh=False)
