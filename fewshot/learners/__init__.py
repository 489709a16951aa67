"""The learners by name."""

from fewshot.learners.mtl import MTL
from fewshot.learners.pixels import Pixels
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.transfer import Transfer
from fewshot.protocols import Learner

LEARNERS: dict[str, type[Learner]] = {
    "pixels": Pixels,
    "protonet": ProtoNet,
    "mtl": MTL,
    "transfer": Transfer,
}
