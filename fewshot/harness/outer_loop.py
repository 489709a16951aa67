"""The outer loop step by step: batch, loss, optimiser, validation, and what they cost."""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from fewshot.harness.checkpoint import Counts, RandomStreams, Stateful
from fewshot.harness.clock import Clock
from fewshot.harness.optimizers import lr_factor, make_optimizer
from fewshot.harness.recipe import Recipe
from fewshot.harness.selection import CurvePoint, Kept, Losses
from fewshot.protocols import Batch, Learner

Validate = Callable[[Learner], float]


@dataclass(frozen=True)
class Spent:
    """The cost of a training.

    train_s: seconds of all steps, without validation and warm-up; `seconds`: those of each part of
    a step. warmup_s: seconds of copying the images to a GPU, and of the first steps at each size of
    images, in which kernels are chosen or compiled. cpu_s: this process's processor seconds in
    train_s. others: the share of the machine's processor time that others used meanwhile, in 0..1;
    None where the system does not tell. resumed: how often it went on after an interrupt.
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


@dataclass
class _Counts(Counts):
    """The progress of a training; `validate_s` counts seconds, `resumed` interrupts."""

    step: int = 0
    images: int = 0
    warmup_images: int = 0
    validate_s: float = 0.0
    resumed: int = 0


class OuterLoop:
    """A training underway; `parts` are what a checkpoint keeps of it."""

    def __init__(
        self,
        learner: Learner,
        recipe: Recipe,
        make_batch: Callable[[int, int], Batch],
        clock: Clock,
        generator: torch.Generator,
    ) -> None:
        self.counts, self.kept = _Counts(), Kept(learner)
        self._learner, self._recipe, self._clock = learner, recipe, clock
        self._make_batch, self._device = make_batch, generator.device
        self._optimizer = make_optimizer(learner.parameters(), recipe)
        self._loss, self._losses = _loss_of(learner, recipe, self._device), Losses(self._device)
        self._steps_at = Counter[int]()
        self.parts: dict[str, Stateful] = {
            "learner": learner,
            "optimizer": self._optimizer,
            "clock": clock.counted,
            "kept": self.kept,
            "random": RandomStreams(generator),
            "counts": self.counts,
        }

    def share_spent(self) -> float:
        """Return the spent share of the budget that ends first."""
        recipe, counts = self._recipe, self.counts
        spent = (counts.step, counts.images, self._clock.total)
        budgets = (recipe.steps, recipe.images, recipe.seconds)
        return max(s / budget for s, budget in zip(spent, budgets, strict=True) if budget)

    def step(self, share: float, edge: int) -> tuple[Tensor, float]:
        """Take a step on images of this edge; return its loss and learning rate.

        The first step at each edge is not timed, nor the second of compiled ones, in which they
        record their CUDA graphs.
        """
        lr = self._recipe.lr * lr_factor(self._recipe, share)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        untimed = 2 if self._recipe.compile and self._device.type == "cuda" else 1
        warms_up = self._steps_at[edge] < untimed
        with self._clock.warming() if warms_up else nullcontext():
            loss, n_images = self._descend(edge)
        self._steps_at[edge] += 1
        self.counts.step += 1
        self.counts.images += n_images
        self.counts.warmup_images += n_images if warms_up else 0
        return loss, lr

    def _descend(self, edge: int) -> tuple[Tensor, int]:
        clock, step = self._clock, self.counts.step
        with clock.part("data"):
            batch = self._make_batch(step, edge)
        with clock.part("forward"):
            try:
                loss = self._loss(batch)
            except ValueError:
                # Weights that are no numbers: a head finds out before a GPU's loss has come over.
                self.kept.check(self._losses.latest)
                raise
        self.kept.check(self._losses.arrived(step + 1, loss))
        with clock.part("backward"):
            self._optimizer.zero_grad()
            loss.backward()
        with clock.part("optimizer"):
            self._optimizer.step()
        labels = batch[1]  # one for each image
        return loss, labels.numel()

    def validated(self, validate: Validate, loss: Tensor, lr: float) -> CurvePoint:
        """Validate the learner after a step with this loss and rate; return the point."""
        clock, counts = self._clock, self.counts
        self.kept.check([(counts.step, loss)])
        start = clock.now()
        accuracy = validate(self._learner)
        self._learner.train()
        counts.validate_s += clock.now() - start
        point = CurvePoint(counts.step, clock.total, counts.images, loss.item(), lr, accuracy)
        self.kept.add(point, self._learner)
        return point

    def images_per_s(self) -> float:
        """Return the timed images a second until now."""
        return (self.counts.images - self.counts.warmup_images) / max(self._clock.total, 1e-9)

    def spent(self) -> Spent:
        """Return the cost of the training, once the clock stands still."""
        clock, counts, use = self._clock, self.counts, self._clock.use
        return Spent(
            steps=counts.step,
            images=counts.images,
            train_s=clock.total,
            validate_s=counts.validate_s,
            warmup_s=clock.counted.warmup_s,
            cpu_s=use.cpu_s,
            others=use.others,
            seconds=clock.counted.parts,
            resumed=counts.resumed,
        )


def _loss_of(learner: Learner, recipe: Recipe, device: torch.device) -> Callable[[Batch], Tensor]:
    """Return the learner's loss; compiled, on a GPU into CUDA graphs, if the recipe asks for it.

    Validation calls the learner as it is: its batches have other shapes.
    """
    if not recipe.compile:
        return learner.loss
    how = "reduce-overhead" if device.type == "cuda" else "default"
    compiled: Callable[[Batch], Tensor] = torch.compile(learner.loss, dynamic=False, mode=how)
    return compiled
