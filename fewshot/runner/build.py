"""A training's learner and backbone, untrained."""

from typing import NamedTuple

import torch

from fewshot.backbones.convolutions import prepare
from fewshot.backbones.norm import norm_for
from fewshot.backbones.precision import Bf16
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError
from fewshot.protocols import Backbone, Learner
from fewshot.runner.cells import Training


class Classes(NamedTuple):
    """The classes of a training's learner and backbone."""

    learner: type[Learner]
    backbone: type[Backbone]


def build_learner(
    training: Training, classes: Classes, source: EpisodeSource, device: torch.device
) -> Learner:
    """Return the untrained learner of a training, its weights drawn from the training's seed.

    Also seeds torch's global stream, from which dropout draws: nowhere else is it seeded.
    """
    torch.manual_seed(training.seed)
    learner = new_learner(training, classes, source.image_size, len(source.class_names))
    return learner.to(device).to(memory_format=torch.channels_last)


def new_learner(training: Training, classes: Classes, image_size: int, n_classes: int) -> Learner:
    """Return the learner of a training on the CPU, its weights drawn from the global stream."""
    backbone = build_backbone(training, classes, image_size)
    return classes.learner(backbone, training.learner_options, n_classes)


def build_backbone(training: Training, classes: Classes, image_size: int) -> Backbone:
    """Return the backbone of a training, with the norm, convolutions and precision it asks for.

    Raises UserError for images that are too small, and for dropout, compilation or
    convolutions that do not suit a gradient learner.
    """
    own_norm = classes.learner.differentiable_norm
    if own_norm and training.recipe.compile:
        raise UserError(
            f"{training.learner}: recipe.compile is for other learners; gradient learners record "
            "CUDA graphs of their own"
        )
    if own_norm and getattr(training.backbone_options, "drop_rate", 0) > 0:
        raise UserError(
            f"{training.learner}: its gradients need a backbone that drops nothing at random: "
            "set backbone_options.drop_rate = 0"
        )
    norm = norm_for(classes.learner)
    backbone = classes.backbone(training.backbone_options, image_size, norm=norm)
    if not isinstance(getattr(backbone, "out_dim", None), int):
        raise UserError(f"{training.backbone}: needs out_dim, its number of features")
    prepare(backbone, training.recipe.convolutions, training.learner, own_norm)
    return Bf16(backbone) if training.recipe.precision == "bf16" else backbone
