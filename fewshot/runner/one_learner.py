"""One learner from Python: trained, scored, and asked for the labels of one's own images."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fewshot.episodes.source import EpisodeSource
from fewshot.episodes.tensors import Images
from fewshot.errors import UserError
from fewshot.harness import evaluate as harness
from fewshot.harness.evaluate import Score
from fewshot.harness.recipe import Recipe, Scoring
from fewshot.harness.train import Trained
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.protocols import Backbone, FeatureLearner, Learner
from fewshot.runner.cells import Training
from fewshot.runner.run import COPIES_AUGMENT, choose_device, train_learner
from fewshot.runner.workspace import open_workspace


@dataclass(frozen=True)
class TrainedLearner:
    """A learner with its selected weights, how its training went, and the classes it saw.

    `training` has the curve, the budget spent and the step whose weights were selected.
    """

    learner: Learner
    training: Trained
    source: EpisodeSource


class Prediction(NamedTuple):
    """The label of each query image, and probabilities_QN in the order of `classes`."""

    labels: list[Hashable]
    probabilities_QN: np.ndarray
    classes: list[Hashable]


def train(
    learner: str,
    dataset: str,
    recipe: Recipe | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    backbone: str = "conv4",
    backbone_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    data: str | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> TrainedLearner:
    """Return a learner trained on a data set's training classes; writes nothing.

    learner, backbone: a name or FILE.py:CLASS, with `options` of their `Config`. recipe: how it is
    trained; 10,000 steps if none is given. data: the folder of images. say: hears each validation.
    Raises UserError for a mistake, and DivergedError when the loss explodes.
    """
    learner, workspace = open_workspace(".", data).include("learner", learner)
    backbone, workspace = workspace.include("backbone", backbone)
    cls, net = workspace.learners[learner], workspace.backbones[backbone]
    if cls.trains_on == "nothing":
        raise UserError(f"{learner} is not trained: there is nothing to do")
    training = Training(
        dataset=dataset,
        backbone=backbone,
        backbone_options=net.Config(**(backbone_options or {})),
        learner=learner,
        learner_options=cls.Config(**(options or {})),
        recipe=recipe or Recipe(steps=10_000),
        seed=seed,
    )
    trained, how = train_learner(training, workspace, choose_device(device, None), say)
    return TrainedLearner(trained.eval(), how, workspace.open(dataset, "train"))


def evaluate(
    network: TrainedLearner | nn.Module,
    source: EpisodeSource,
    scoring: Scoring | None = None,
    *,
    learner: str = "protonet",
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> Score:
    """Return the score of a learner, or of any network as a frozen backbone under a learner.

    network: a learner, or a module that maps images x_ICHW to features z_ID, on which a `learner`
    with these `options` adapts. Pixels are scaled by the constants of the data set that a
    trained learner saw, else by those of `source`. scoring: 2,000 episodes of 5-way 5-shot if none
    is given. The score has `accuracy`, `interval` (95 %) and `episodes`, a line each.
    Leaves the network in evaluation mode. Raises UserError for a learner that needs a training.
    """
    scoring, on = scoring or Scoring(), choose_device(device, None)
    if isinstance(network, TrainedLearner):
        source = replace(source, mean=network.source.mean, std=network.source.std)
        network = network.learner
    if not isinstance(network, Learner):
        network = _on_frozen(network.to(on), source, learner, options or {}, on)
    return harness.evaluate(network.to(on), source, scoring, COPIES_AUGMENT, on)


def predict(
    trained: TrainedLearner,
    support_images: np.ndarray,
    support_labels: Sequence[Hashable],
    query_images: np.ndarray,
) -> Prediction:
    """Return the label that a trained learner gives each query image, with probabilities.

    support_images, query_images: uint8 RGB, (n, H, W, 3), of the size it was trained on.
    support_labels: one for each support image, of any kind: the classes are those that occur.
    Raises UserError for images of another kind or size, and for labels that are too few or many.
    """
    for images_IHWC in (support_images, query_images):
        _check_images(images_IHWC, trained.source.image_size)
    if len(support_labels) != len(support_images):
        raise UserError(f"{len(support_labels)} labels for {len(support_images)} support images")
    classes = list(dict.fromkeys(support_labels))
    learner = trained.learner.eval()
    n_way = getattr(learner.config, "n_way", len(classes))
    if n_way != len(classes):
        raise UserError(f"{len(classes)} classes, but the learner's head is for {n_way}")
    device = next((p.device for p in learner.parameters()), torch.device("cpu"))

    def normalized(images_IHWC: np.ndarray) -> Tensor:
        images = Images(replace(trained.source, images_IHWC=images_IHWC), device)
        return images.normalized(images.pixels(np.arange(len(images_IHWC)))).unsqueeze(0)

    y_TS = torch.tensor([[classes.index(label) for label in support_labels]], device=device)
    with torch.no_grad():
        state = learner.adapt(normalized(support_images), y_TS, len(classes))
        logits_QN = learner.predict(state, normalized(query_images))[0].float()
    labels = [classes[n] for n in logits_QN.argmax(-1).tolist()]
    return Prediction(labels, logits_QN.softmax(-1).cpu().numpy(), classes)


class _Frozen(Backbone):
    """Any network as a backbone: its features are made flat."""

    def __init__(self, network: nn.Module, out_dim: int) -> None:
        super().__init__()
        self.network, self.out_dim = network, out_dim

    def forward(self, x_ICHW: Tensor) -> Tensor:
        z_ID: Tensor = self.network(x_ICHW).flatten(1)
        return z_ID


@torch.no_grad()
def _on_frozen(
    network: nn.Module,
    source: EpisodeSource,
    learner: str,
    options: Mapping[str, Any],
    device: torch.device,
) -> Learner:
    """Return a learner on the features of a network. Raises UserError if it adapts the network."""
    name, learners = LEARNER_REGISTRY.include(learner, LEARNER_REGISTRY.load())
    cls, px = learners[name], source.image_size
    if not issubclass(cls, FeatureLearner):
        raise UserError(f"{name} adapts its backbone: name a learner that adapts on features")
    one_ICHW = torch.zeros(1, 3, px, px, device=device)
    frozen = _Frozen(network.eval(), network(one_ICHW).flatten(1).shape[1])
    return cls(frozen, cls.Config(**options), len(source.class_names))


def _check_images(images_IHWC: np.ndarray, px: int) -> None:
    found = np.asarray(images_IHWC)
    if found.dtype != np.uint8 or found.shape[1:] != (px, px, 3):
        raise UserError(
            f"images must be uint8 of shape (n, {px}, {px}, 3), not {found.dtype} of {found.shape}"
        )
