"""The learners by name."""

from fewshot.learners.anil import ANIL
from fewshot.learners.imaml import IMAML
from fewshot.learners.maml import FOMAML, MAML
from fewshot.learners.metaoptnet import MetaOptNetRidge, MetaOptNetSVM
from fewshot.learners.mtl import MTL
from fewshot.learners.pixels import Pixels
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.r2d2 import R2D2
from fewshot.learners.transfer import Transfer
from fewshot.protocols import Learner

LEARNERS: dict[str, type[Learner]] = {
    "pixels": Pixels,
    "protonet": ProtoNet,
    "maml": MAML,
    "fomaml": FOMAML,
    "anil": ANIL,
    "imaml": IMAML,
    "metaoptnet-svm": MetaOptNetSVM,
    "metaoptnet-ridge": MetaOptNetRidge,
    "r2d2": R2D2,
    "mtl": MTL,
    "transfer": Transfer,
}
