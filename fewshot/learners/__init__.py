"""The learners by name."""

from fewshot.learners.anil import ANIL
from fewshot.learners.imaml import IMAML
from fewshot.learners.maml import FOMAML, MAML
from fewshot.learners.mtl import MTL
from fewshot.learners.pixels import Pixels
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.transfer import Transfer
from fewshot.protocols import Learner

LEARNERS: dict[str, type[Learner]] = {
    "pixels": Pixels,
    "protonet": ProtoNet,
    "maml": MAML,
    "fomaml": FOMAML,
    "anil": ANIL,
    "imaml": IMAML,
    "mtl": MTL,
    "transfer": Transfer,
}
