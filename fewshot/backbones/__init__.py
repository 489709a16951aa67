"""Backbones: images to features. `BACKBONES` maps the name in benchmarks to the class."""

from fewshot.backbones.conv4 import Conv4
from fewshot.backbones.resnet12 import ResNet12
from fewshot.protocols import Backbone

BACKBONES: dict[str, type[Backbone]] = {"conv4": Conv4, "resnet12": ResNet12}

__all__ = ["BACKBONES", "Conv4", "ResNet12"]
