"""One learner from Python: trained, scored, and asked for the labels of one's own images."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fewshot.backbones.precision import float32_products
from fewshot.episodes.source import EpisodeSource
from fewshot.episodes.tensors import Images
from fewshot.errors import UserError
from fewshot.harness import evaluate as harness
from fewshot.harness.evaluate import Score
from fewshot.harness.recipe import Recipe, Scoring
from fewshot.harness.train import Trained
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.protocols import Backbone, FeatureLearner, Learner
from fewshot.runner.benchmark_file import build_options, parse_benchmark
from fewshot.runner.run import COPIES_AUGMENT, check_precision, choose_device, train_learner
from fewshot.runner.validate import check_training
from fewshot.runner.workspace import open_workspace


@dataclass(frozen=True)
class TrainedLearner:
    """A learner with its selected weights, how it was trained, and the classes that it saw.

    `training` has the curve, the budget spent and the step whose weights were selected.
    """

    learner: Learner
    training: Trained
    source: EpisodeSource
    recipe: Recipe


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
    data: Path | str | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> TrainedLearner:
    """Return a learner trained on a data set's training classes; writes nothing.

    learner, backbone: a name or FILE.py:CLASS, with `options` of their `Config`. recipe: how it is
    trained; 10,000 steps if none is given. data: the folder of images. say: hears each validation.
    Raises UserError for a mistake, and DivergedError when the loss explodes.
    """
    on = choose_device(device, None)
    learner, workspace = open_workspace(".", data).include("learner", learner)
    backbone, workspace = workspace.include("backbone", backbone)
    if workspace.learners[learner].trains_on == "nothing":
        raise UserError(f"{learner} is not trained: there is nothing to do")
    recipe = recipe or Recipe(steps=10_000)
    entry = {
        "dataset": dataset,
        "backbone": backbone,
        "backbone_options": backbone_options or {},
        "learner": learner,
        "learner_options": options or {},
        "recipe": asdict(recipe),
        "scoring": {"n_way": recipe.n_way},  # nobody scores it: a head of fixed size asks
        "seeds": seed,
    }
    (cell,) = parse_benchmark("train", {"training": [entry]}, workspace.configs, {})
    check_precision(cell, on)
    check_training(cell, workspace)
    with _own_streams(on), float32_products(tf32=recipe.precision == "tf32"):
        trained, how = train_learner(cell.training, workspace, on, say)
    return TrainedLearner(trained.eval(), how, workspace.open(dataset, "train"), recipe)


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
    scoring = build_options(Scoring, asdict(scoring or Scoring()), "scoring")
    source.check_shape(scoring.shape)
    on, tf32 = choose_device(device, None), False
    if isinstance(network, TrainedLearner):
        source = replace(source, mean=network.source.mean, std=network.source.std)
        tf32, network = network.recipe.precision == "tf32", network.learner
    with _own_streams(on), float32_products(tf32):
        if not isinstance(network, Learner):
            network = _on_frozen(network, source, learner, options or {}, on)
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
    px = trained.source.image_size
    support_IHWC, query_IHWC = (_checked(x, px) for x in (support_images, query_images))
    number_of = _numbered(support_labels, len(support_IHWC))
    learner, n_classes = trained.learner.eval(), len(number_of)
    n_way = getattr(learner.config, "n_way", n_classes)
    if n_way != n_classes:
        raise UserError(f"{n_classes} classes, but the learner's head is for {n_way}")
    device = next((p.device for p in learner.parameters()), torch.device("cpu"))

    def normalized(images_IHWC: np.ndarray) -> Tensor:
        images = Images(replace(trained.source, images_IHWC=images_IHWC), device)
        return images.normalized(images.pixels(np.arange(len(images_IHWC)))).unsqueeze(0)

    y_TS = torch.tensor([[number_of[label] for label in _listed(support_labels)]], device=device)
    with torch.no_grad(), float32_products(tf32=trained.recipe.precision == "tf32"):
        state = learner.adapt(normalized(support_IHWC), y_TS, n_classes)
        logits_QN = learner.predict(state, normalized(query_IHWC))[0].float()
    classes = list(number_of)
    labels = [classes[n] for n in logits_QN.argmax(-1).tolist()]
    return Prediction(labels, logits_QN.softmax(-1).cpu().numpy(), classes)


def _listed(labels: Sequence[Hashable]) -> list[Hashable]:
    """Return labels as plain values: those of a tensor are never equal."""
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)


def _numbered(support_labels: Sequence[Hashable], n_images: int) -> dict[Hashable, int]:
    """Return the number of each class, in the order in which they occur.

    Raises UserError for labels that are too few or many, that cannot be compared, or all alike.
    """
    labels = _listed(support_labels)
    if len(labels) != n_images:
        raise UserError(f"{len(labels)} labels for {n_images} support images")
    try:
        number_of = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    except TypeError as error:
        raise UserError(f"a label cannot be compared: {error}") from None
    if len(number_of) < 2 or any(label != label for label in number_of):
        raise UserError(f"labels must be those of two classes or more, not {list(number_of)}")
    return number_of


@contextmanager
def _own_streams(device: torch.device) -> Iterator[None]:
    """Leave torch's global random streams as they are, whatever is drawn meanwhile."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


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
    config: Any = build_options(cls.Config, options, name)
    wanted = f"a network that maps float32 images (2, 3, {px}, {px}) to features (2, D)"
    if not isinstance(network, nn.Module):
        raise UserError(f"expected {wanted}, not a {type(network).__name__}")
    try:
        z_2D = network.to(device).eval()(torch.zeros(2, 3, px, px, device=device)).flatten(1)
    except (RuntimeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"expected {wanted}: {str(error).splitlines()[0]}") from error
    if len(z_2D) != 2 or not z_2D.numel():
        raise UserError(f"expected {wanted}, not {tuple(z_2D.shape)}")
    return cls(_Frozen(network, z_2D.shape[1]), config, len(source.class_names))


def _checked(images: np.ndarray, px: int) -> np.ndarray:
    """Return images as an array of their own. Raises UserError for another type or size."""
    images_IHWC = np.asarray(images).copy()  # in the order of memory, and writable
    if images_IHWC.dtype != np.uint8 or images_IHWC.shape[1:] != (px, px, 3):
        found = f"{images_IHWC.dtype} of {images_IHWC.shape}"
        raise UserError(f"images must be uint8 of shape (n, {px}, {px}, 3), not {found}")
    return images_IHWC
