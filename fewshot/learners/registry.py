"""The learners by name; to list them needs no torch."""

from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from fewshot.errors import UserError
from fewshot.options import Registry, check_class, first_doc_line

if TYPE_CHECKING:
    from fewshot.protocols import Learner

LEARNERS = {
    "pixels": "fewshot.learners.pixels:Pixels",
    "protonet": "fewshot.learners.protonet:ProtoNet",
    "maml": "fewshot.learners.maml:MAML",
    "fomaml": "fewshot.learners.maml:FOMAML",
    "anil": "fewshot.learners.anil:ANIL",
    "imaml": "fewshot.learners.imaml:IMAML",
    "metaoptnet-svm": "fewshot.learners.metaoptnet:MetaOptNetSVM",
    "metaoptnet-ridge": "fewshot.learners.metaoptnet:MetaOptNetRidge",
    "r2d2": "fewshot.learners.r2d2:R2D2",
    "mtl": "fewshot.learners.mtl:MTL",
    "transfer": "fewshot.learners.transfer:Transfer",
}


def list_learners() -> dict[str, str]:
    """Return each learner's name with a line on it: the suite's and those of installed packages."""
    return {name: first_doc_line(at) for name, at in LEARNER_REGISTRY.addresses().items()}


def _check_learner(offered: Any, where: str) -> "type[Learner]":
    """Return a learner from outside; raises UserError unless it is a whole one."""
    from fewshot.protocols import Learner

    learner = check_class(offered, where, Learner)  # type: ignore[type-abstract]
    kinds = get_args(get_args(get_type_hints(Learner)["trains_on"])[0])
    if getattr(learner, "trains_on", None) not in kinds:
        raise UserError(f"{where}: needs trains_on, one of {', '.join(kinds)}")
    return learner


LEARNER_REGISTRY = Registry(
    "learner", "fewshot.learners", LEARNERS, _check_learner, lambda cls: cls.__name__
)
