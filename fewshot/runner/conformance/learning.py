"""Checks that train a learner for a moment: it learns, and from the labels alone."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fewshot.backbones.conv4 import Conv4
from fewshot.data import drawn_sources
from fewshot.episodes.augment import AUGMENTS
from fewshot.episodes.sampling import Split
from fewshot.episodes.source import EpisodeSource
from fewshot.harness.evaluate import evaluate
from fewshot.harness.recipe import Recipe, Scoring
from fewshot.harness.train import train
from fewshot.protocols import Learner
from fewshot.runner.conformance.subject import FaultError, Subject, generator, small_options
from fewshot.statistics.intervals import Interval

GLYPH_SIZE = 32
GLYPHS_PER_CLASS = 40
LEARNING = Recipe(
    steps=40,
    optimizer="adam",
    lr=2e-3,
    weight_decay=0,
    augment="none",
    batch_size=64,
    episodes_per_step=2,
    n_query=5,
    validations=1,
    val_episodes=10,
)
SCORING = Scoring(n_query=5, episodes=60)
CPU = torch.device("cpu")


def above_chance(subject: Subject) -> None:
    """After a short training on drawn characters it does better than guessing."""
    mean, half = _score(_trained(subject))
    if not mean - half > 1 / SCORING.n_way:
        raise FaultError(
            f"{100 * mean:.1f} ± {100 * half:.1f} % after {LEARNING.steps} steps on glyphs, "
            f"no better than chance ({100 / SCORING.n_way:.0f} %)"
        )


def chance_on_shuffled_labels(subject: Subject) -> None:
    """Support labels that say nothing leave it nothing but guessing."""
    mean, half = _score(_ShuffledSupport(_trained(subject)))
    # Twice the interval: a false alarm in some 10,000.
    if mean - 2 * half > 1 / SCORING.n_way:
        raise FaultError(
            f"{100 * mean:.1f} % with shuffled support labels, where only "
            f"{100 / SCORING.n_way:.0f} % can be had: it knows the labels from elsewhere"
        )


class _ShuffledSupport(Learner):
    """A learner that is handed the support labels shuffled, in each episode anew."""

    trains_on = "nothing"

    def __init__(self, inner: Learner) -> None:
        super().__init__(inner.backbone, inner.config, inner.n_classes)
        self.inner = inner
        self.transductive = inner.transductive

    def loss(self, batch: Any) -> Tensor:
        raise NotImplementedError

    def adapt(self, support_x_TSCHW: Tensor, support_y_TS: Tensor, n_way: int) -> Any:
        order_TS = torch.rand(support_y_TS.shape, generator=generator()).argsort(1)
        return self.inner.adapt(support_x_TSCHW, support_y_TS.gather(1, order_TS), n_way)

    def predict(self, state: Any, query_x_TQCHW: Tensor) -> Tensor:
        return self.inner.predict(state, query_x_TQCHW)


def _score(learner: Learner) -> Interval:
    return evaluate(learner, _glyphs()["test"], SCORING, AUGMENTS["none"], CPU).interval


@lru_cache(maxsize=1)
def _glyphs() -> dict[Split, EpisodeSource]:
    return drawn_sources(GLYPHS_PER_CLASS)


@lru_cache(maxsize=1)
def _trained(subject: Subject) -> Learner:
    """Return the learner after a short training on glyphs.

    Its backbone is Conv4: deeper networks learn little in so few steps.
    """
    sources = _glyphs()
    subject = replace(subject, backbone=Conv4, backbone_options=small_options(Conv4))
    learner = subject.build(n_classes=len(sources["train"].class_names), image_size=GLYPH_SIZE)
    if learner.trains_on == "nothing":
        return learner.eval()

    def validate(candidate: Learner) -> float:
        score = evaluate(candidate, sources["val"], LEARNING.val_scoring, AUGMENTS["none"], CPU)
        return score.accuracy

    train(learner, sources["train"], AUGMENTS["none"], validate, LEARNING, 0, CPU)
    return learner
