"""The learner that is checked, and the episodes that it is checked on."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from fewshot.backbones.norm import norm_for
from fewshot.backbones.registry import BACKBONE_REGISTRY
from fewshot.episodes.sampling import EpisodeShape
from fewshot.errors import UserError
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.protocols import Backbone, Batch, EpisodeBatch, ImageBatch, Learner
from fewshot.runner.benchmark_file import read_options
from fewshot.runner.settings import Settings

N_CLASSES = 8
IMAGE_SIZE = 16  # pixels of the made images, on which all but learning is checked
SHAPES = (EpisodeShape(5, 1, 3), EpisodeShape(3, 4, 2), EpisodeShape(8, 2, 1))
CLOSE = 1e-6  # of logits in float64 whose sums ran in another order, or whose solver stopped
SMALL = {"filters": 16, "widths": (4, 6, 8, 10), "drop_rate": 0.0}
"""Options of backbones, for those that have them."""


class FaultError(Exception):
    """A fault of a learner, in one line."""


class NotApplicableError(Exception):
    """The reason why a check says nothing about a learner."""


@dataclass(frozen=True)
class Subject:
    """A learner to check, with its options, on a backbone."""

    learner: type[Learner]
    options: Any
    backbone: type[Backbone]
    backbone_options: Any

    def build(
        self, n_way: int = 5, n_classes: int = N_CLASSES, image_size: int = IMAGE_SIZE
    ) -> Learner:
        """Return a new learner, the same each time; a head of fixed size gets `n_way` outputs."""
        torch.manual_seed(0)
        norm = norm_for(self.learner)
        backbone = self.backbone(self.backbone_options, image_size, norm=norm)
        options = self.options
        if any(f.name == "n_way" for f in fields(options)):
            options = replace(options, n_way=n_way)
        return self.learner(backbone, options, n_classes)

    def exact(self, n_way: int = 5) -> Learner:
        """Return a new learner in float64, as at test."""
        return self.build(n_way).double().eval()


def make_subject(learner: str, backbone: str = "conv4", settings: Settings = ()) -> Subject:
    """Return the subject of `fewshot check`: learner and backbone by NAME or FILE.py:CLASS.

    settings: `option=value` of the learner, or a dict.
    Raises UserError for unknown names and options, and a backbone that is not as it must be.
    """
    name, learners = LEARNER_REGISTRY.include(learner, LEARNER_REGISTRY.load())
    net_name, backbones = BACKBONE_REGISTRY.include(backbone, BACKBONE_REGISTRY.load())
    cls, net = learners[name], backbones[net_name]
    subject = Subject(cls, read_options(cls.Config, settings, name), net, small_options(net))
    _check_features(net_name, subject.build().backbone.eval())
    return subject


@torch.no_grad()
def _check_features(name: str, backbone: Backbone) -> None:
    """Raise UserError unless a backbone gives as many features of an image as it says."""
    found = tuple(backbone(torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE)).shape)
    wanted = 2, getattr(backbone, "out_dim", None)
    if found != wanted:
        raise UserError(f"{name}: features of 2 images have shape {found}, out_dim asks {wanted}")


def small_options(backbone: type[Backbone]) -> Any:
    """Return options of a backbone that make it small."""
    options = {f.name for f in fields(backbone.Config)}
    return backbone.Config(**{key: value for key, value in SMALL.items() if key in options})


def made_batch(shape: EpisodeShape, n_episodes: int = 3, seed: int = 0) -> EpisodeBatch:
    """Return episodes of noisy images around a mean image of each class, in float64."""
    g = torch.Generator().manual_seed(seed)
    size = (3, IMAGE_SIZE, IMAGE_SIZE)
    mean_CCHW = torch.randn(N_CLASSES, *size, generator=g, dtype=torch.float64)
    class_ids_TN = torch.stack(
        [torch.randperm(N_CLASSES, generator=g)[: shape.n_way] for _ in range(n_episodes)]
    )
    support_y_S = torch.arange(shape.n_way).repeat_interleave(shape.n_shot)
    query_y_Q = torch.arange(shape.n_way).repeat_interleave(shape.n_query)
    shuffled = [query_y_Q[torch.randperm(len(query_y_Q), generator=g)] for _ in range(n_episodes)]
    y_TM = torch.stack([torch.cat([support_y_S, y_Q]) for y_Q in shuffled])
    noise = torch.randn(*y_TM.shape, *size, generator=g, dtype=torch.float64)
    x_TMCHW = mean_CCHW[class_ids_TN.gather(1, y_TM)] + noise
    return EpisodeBatch(x_TMCHW, y_TM, class_ids_TN, len(support_y_S))


def training_batch(learner: Learner, batch: EpisodeBatch) -> Batch:
    """Return the batch in the form that a learner trains on.

    Raises NotApplicableError if it is not trained.
    """
    if learner.trains_on == "nothing":
        raise NotApplicableError("it is not trained")
    if learner.trains_on == "episodes":
        return batch
    labels = batch.class_ids_TN.gather(1, batch.y_TM)
    return ImageBatch(batch.x_TMCHW.flatten(0, 1), labels.flatten())


@torch.no_grad()
def logits(learner: Learner, batch: EpisodeBatch) -> Tensor:
    """Return logits_TQN of a batch's queries, given its support."""
    support, query_x_TQCHW = halves(batch)
    return learner.predict(learner.adapt(*support), query_x_TQCHW)


def halves(batch: EpisodeBatch) -> tuple[tuple[Tensor, Tensor, int], Tensor]:
    """Return the support images and labels with the number of ways; and the query images."""
    s = batch.n_support
    return (batch.x_TMCHW[:, :s], batch.y_TM[:, :s], batch.n_way), batch.x_TMCHW[:, s:]


def close(a: Tensor, b: Tensor) -> bool:
    """Say whether two tensors are equal to within `CLOSE`."""
    return torch.allclose(a, b, rtol=CLOSE, atol=CLOSE)


def generator() -> torch.Generator:
    """Return a new random stream, the same each time."""
    return torch.Generator().manual_seed(0)
