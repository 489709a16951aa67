"""Every learner and backbone by name, and small learners."""

import re

import torch
from helpers.paths import ROOT
from helpers.sources import IMAGE_SIZE

from fewshot.backbones.conv4 import Conv4
from fewshot.backbones.norm import norm_for
from fewshot.backbones.registry import BACKBONE_REGISTRY
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.protocols import Learner
from fewshot.runner.build import Classes

LEARNERS = LEARNER_REGISTRY.load()
BACKBONES = BACKBONE_REGISTRY.load()


def classes_of(learner: str, backbone: str = "conv4") -> Classes:
    """The classes of a training by their names."""
    return Classes(LEARNERS[learner], BACKBONES[backbone])


def small_learner(name: str, n_classes: int, filters: int = 4, **options: object) -> Learner:
    """An untrained learner on a small Conv4, with the batch norm that it asks for."""
    torch.manual_seed(0)
    cls = LEARNERS[name]
    backbone = Conv4(Conv4.Config(filters), IMAGE_SIZE, norm=norm_for(cls))
    return cls(backbone, cls.Config(**options), n_classes)


def ways_of(name: str, n_way: int) -> dict[str, int]:
    """The option that says how many ways a head has, for the learners that fix it."""
    return {"n_way": n_way} if LEARNERS[name].label_tied else {}


PAGE = ROOT / "docs" / "adding_a_learner.md"
EXAMPLE = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
"""The learner of the documentation."""


def with_learner(spec):
    return LEARNER_REGISTRY.include(spec, LEARNER_REGISTRY.load())
