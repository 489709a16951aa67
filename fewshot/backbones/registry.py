"""The backbones by name; to list them needs no torch."""

from typing import TYPE_CHECKING, Any

from fewshot.options import Registry, check_class, first_doc_line

if TYPE_CHECKING:
    from fewshot.protocols import Backbone

BACKBONES = {
    "conv4": "fewshot.backbones.conv4:Conv4",
    "resnet12": "fewshot.backbones.resnet12:ResNet12",
}


def list_backbones() -> dict[str, str]:
    """Return each backbone's name with a line on it: the suite's and those of packages."""
    return {name: first_doc_line(at) for name, at in BACKBONE_REGISTRY.addresses().items()}


def _check_backbone(offered: Any, where: str) -> "type[Backbone]":
    """Return a backbone from outside; raises UserError unless it is a whole one."""
    from fewshot.protocols import Backbone

    return check_class(offered, where, Backbone)  # type: ignore[type-abstract]


BACKBONE_REGISTRY = Registry(
    "backbone", "fewshot.backbones", BACKBONES, _check_backbone, lambda cls: cls.__name__
)
