"""The cost of a cell: images, floating-point operations, and hours on the machine at hand.

Operations are those of matrix products and convolutions, as PyTorch counts them over the learner's
own outer step, inner loops included. Hours are operations over a rate: `rates` measures it.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from fewshot.data import available
from fewshot.episodes.sampling import SPLITS, EpisodeShape, Split
from fewshot.harness.recipe import Recipe, Scoring
from fewshot.protocols import Batch, EpisodeBatch, FeatureLearner, ImageBatch, Learner
from fewshot.runner.build import Classes, build_backbone, new_learner
from fewshot.runner.cells import Training
from fewshot.runner.workspace import Workspace

SMALL_PX = 16  # images that a learner is run on to see what it does with its backbone
FEW_IMAGES = 8  # where operations are the sum over images
N_CLASSES = 64  # trained on, or as many as an episode has
IMAGES_PER_CLASS = 600  # of a data set that is not here and does not say how many it has


@dataclass(frozen=True)
class Cost:
    """Images trained on, floating-point operations, and seconds."""

    images: int = 0
    flops: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.images + other.images, self.flops + other.flops, self.seconds + other.seconds
        )


def estimate(recipe: Recipe, step: Cost, validation_flops: float, rate: float) -> Cost:
    """Return the cost of a training with its validations, at `rate` operations a second.

    step: images and operations of an outer step. A training ends when the first of its recipe's
    budgets is used up, which validations do not count in.
    """
    budgets = (
        recipe.steps,
        recipe.images and math.ceil(recipe.images / step.images),
        recipe.seconds and math.ceil(recipe.seconds * rate / step.flops),
    )
    steps = min(budget for budget in budgets if budget)
    validations = recipe.validations
    if recipe.validate_every_s:
        validations = math.ceil(steps * step.flops / rate / recipe.validate_every_s)
    flops = steps * step.flops + validations * validation_flops
    return Cost(steps * step.images, flops, flops / rate)


def scored_images(scoring: Scoring, split_images: int) -> int:
    """Return how many images scoring with features embeds: a split and its augmented copies."""
    return (1 + scoring.support_copies) * split_images


def scored_episodes(scoring: Scoring, split_images: int, disjoint: bool) -> int:
    """Return how many episodes are adapted to; `disjoint` adds those that share no image."""
    images = scoring.n_way * (scoring.n_shot + scoring.n_query)
    return scoring.episodes + (split_images // images if disjoint else 0)


class DataSize(NamedTuple):
    """Edge of an image in pixels, and images of each split."""

    image_size: int
    images: Mapping[Split, int]


def data_size(name: str, workspace: Workspace) -> DataSize:
    """Return the size of a data set that is here, or that of one that is not, as it is known."""
    if name in available(workspace.data_dir):
        sources = {split: workspace.open(name, split) for split in SPLITS}
        images = {split: int(source.class_sizes.sum()) for split, source in sources.items()}
        return DataSize(sources["train"].image_size, images)
    known = workspace.datasets[name]
    if known.images:
        return DataSize(known.image_size, known.images)
    parts = known.split() if known.split else None
    counts = {split: len(parts.classes(split)) if parts else N_CLASSES for split in SPLITS}
    images = {split: IMAGES_PER_CLASS * n_classes for split, n_classes in counts.items()}
    return DataSize(known.image_size, images)


# Operations in units of the backbone's forward and backward for one image ---------------------


def step_units(training: Training, classes: Classes) -> float:
    """Return the operations of one outer step. Raises whatever the learner's loss raises."""
    cls, counted, recipe = classes.learner, training.recipe.train_shape, training.recipe
    if issubclass(cls, FeatureLearner):
        counted = EpisodeShape(counted.n_way, 1, 1)  # to embed an image costs the same in all
    batch: Batch = _images(FEW_IMAGES) if cls.trains_on == "images" else _episode(counted)

    def loss(learner: Learner) -> None:
        learner.train().loss(batch).backward()

    # A sum over images; or over episodes, of which one is counted.
    images = FEW_IMAGES if isinstance(batch, ImageBatch) else batch.y_TM.numel()
    return _units(loss, training, classes) / images * step_images(recipe, cls)


def step_images(recipe: Recipe, cls: type[Learner]) -> int:
    """Return the number of images of one outer step."""
    if cls.trains_on == "images":
        return recipe.batch_size
    return recipe.episodes_per_step * recipe.n_way * (recipe.n_shot + recipe.n_query)


def embedding_units(training: Training, classes: Classes) -> float:
    """Return the operations to embed an image, for a `FeatureLearner`."""

    def embed(learner: Learner) -> None:
        assert isinstance(learner, FeatureLearner)
        with torch.no_grad():
            learner.eval().embed(_images(FEW_IMAGES).x_ICHW)

    return _units(embed, training, classes) / FEW_IMAGES


def episode_units(training: Training, classes: Classes, shape: EpisodeShape) -> float:
    """Return the operations to adapt to one episode and to predict its queries."""

    def score(learner: Learner) -> None:
        x_TMCHW, y_TM, _, s = _episode(shape)
        with torch.no_grad():
            state = learner.eval().adapt(x_TMCHW[:, :s], y_TM[:, :s], shape.n_way)
            learner.predict(state, x_TMCHW[:, s:])

    return _units(score, training, classes)


def _units(work: Callable[[Learner], None], training: Training, classes: Classes) -> float:
    """Return the operations of what `work` does with a learner, over those of `unit_flops`.

    Counted on small images. The ratio is that of images of any size but for heads, whose share
    depends on the number of features: few operations beside convolutions. To count at full size,
    on tensors without numbers, would be exact, but takes longer, and solvers that stop when they
    are done cannot do without.
    """
    n_classes = max(N_CLASSES, training.recipe.n_way)
    learner = new_learner(_plainly(training), classes, SMALL_PX, n_classes)
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")  # that an untrained network does badly is no news
        return _count(lambda: work(learner)) / unit_flops(training, classes, SMALL_PX)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: small tensors gain nothing by a second one, and wait for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def unit_flops(training: Training, classes: Classes, image_size: int) -> float:
    """Return the operations of the backbone's forward and backward, an image; computes nothing."""
    with torch.device("meta"):
        backbone = build_backbone(_plainly(training), classes, image_size).train()
        x_ICHW = torch.empty(FEW_IMAGES, 3, image_size, image_size)
        return _count(lambda: backbone(x_ICHW).sum().backward()) / FEW_IMAGES


def _plainly(training: Training) -> Training:
    """Return the training in plain float32, whose operations can be counted everywhere.

    Other ways to compute a convolution do not make its training smaller.
    """
    return replace(training, recipe=training.recipe.in_plain_float32)


def _images(images: int) -> ImageBatch:
    """Return small images of noise, of class 0."""
    x_ICHW = torch.randn(images, 3, SMALL_PX, SMALL_PX)
    return ImageBatch(x_ICHW, torch.zeros(images, dtype=torch.long))


def _episode(shape: EpisodeShape) -> EpisodeBatch:
    """Return one episode of small images of noise."""
    labels_N = torch.arange(shape.n_way)
    y_M = torch.cat([labels_N.repeat_interleave(n) for n in (shape.n_shot, shape.n_query)])
    x_TMCHW = _images(len(y_M)).x_ICHW.unsqueeze(0)
    n_support = shape.n_way * shape.n_shot
    return EpisodeBatch(x_TMCHW, y_M.unsqueeze(0), labels_N.unsqueeze(0), n_support)


def _count(work: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())
