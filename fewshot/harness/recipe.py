"""The settings of the harness: how a learner is trained, and on which episodes it is scored."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from annotated_types import Ge, Interval

from fewshot.episodes.sampling import EpisodeShape
from fewshot.options import Count, ImageEdge, NonNegative, Positive, Share, option


@dataclass(frozen=True)
class Scoring:
    """Episodes to score on. `episode_seed`, split and shape alone decide which they are."""

    n_way: Count = 5
    n_shot: Count = 5
    n_query: Count = 15
    episodes: Count = 2000
    episode_seed: Annotated[int, Ge(0)] = 0
    support_copies: Annotated[int, Ge(0)] = 0
    """Augmented copies that stand for each support image; 0: the clean image alone."""
    dataset: str | None = option(None, added_later=True)
    """The data set whose test classes are scored, where it is not the training's."""

    @property
    def shape(self) -> EpisodeShape:
        """The shape of a test episode."""
        return EpisodeShape(self.n_way, self.n_shot, self.n_query)


@dataclass(frozen=True)
class Recipe:
    """How a learner is trained: budget, optimiser, batches, selection. The same for every learner.

    Training ends when the first of the budgets that are given (steps, images, seconds) is used
    up; the schedule of the learning rate runs over the share of the budget spent.
    """

    steps: Count | None = None
    images: Count | None = None
    seconds: Positive | None = None
    optimizer: Literal["sgd", "adam", "radam", "muon"] = "sgd"
    lr: Positive = 0.1
    weight_decay: NonNegative = 5e-4
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.2
    """Share of the budget over which the learning rate rises, with `one_cycle`."""
    augment: Literal["none", "crop_flip", "crop_flip_jitter"] = "crop_flip"
    image_sizes: tuple[tuple[Share, ImageEdge], ...] = option((), added_later=True)
    """Smaller images at the start (progressive resolution): pairs of a share of the budget and the
    edge in pixels to which images are resized until then; after the last of them, full size."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """The backbone's; the rest is float32. `tf32` rounds the factors of all products, on a GPU."""
    compile: bool = option(False, added_later=True)
    """Compile the training step (torch.compile; needs a C++ compiler on a CPU)."""
    convolutions: Literal["direct", "winograd"] = option("direct", added_later=True)
    """How 3x3 convolutions are computed: `winograd` takes fewer multiplications, in float32 on a
    CPU (needs numba: the extra `winograd`), and rounds a little differently."""
    batch_size: Count = 128
    """Images of a step, for learners that train on labelled images."""
    episodes_per_step: Count = 1
    n_way: Count = 5
    n_shot: Count = 5
    n_query: Count = 15
    """The training episodes, for learners that train on episodes; n_query is per class."""
    validations: Annotated[int, Ge(0)] = 10
    """How often the learner is scored on validation episodes, evenly over the budget."""
    validate_every_s: Positive | None = option(None, added_later=True)  # noqa: RUF009
    """Seconds of training from one validation to the next, in place of `validations`: the same
    cadence for learners whose steps cost differently. The end is validated too."""
    val_episodes: Count = 200
    val_n_way: Count = 5
    val_n_shot: Count = 5
    val_n_query: Count = 15
    select: Literal["best", "last"] = "best"
    """The weights that are kept: those of the best validation, or the last ones."""

    def __post_init__(self) -> None:
        if [share for share, _ in self.image_sizes] != sorted(dict(self.image_sizes)):
            raise ValueError("image_sizes: each share must be larger than the one before")
        if self.select == "best" and not self.validates:
            raise ValueError("select = 'best' needs validations")
        if self.convolutions == "winograd" and (self.precision != "fp32" or self.compile):
            raise ValueError("convolutions = 'winograd' needs precision = 'fp32', not compiled")

    @property
    def arithmetic(self) -> tuple[str, str]:
        """The number type and the convolutions, on which the speed of a backbone depends."""
        return self.precision, self.convolutions

    @property
    def in_plain_float32(self) -> "Recipe":
        """The same recipe, computed as its operations are defined."""
        return replace(self, precision="fp32", convolutions="direct")

    def edge_at(self, progress: float, full: int) -> int:
        """Return the edge in pixels of training images at this share of the budget."""
        return next((edge for until, edge in self.image_sizes if progress < until), full)

    @property
    def validates(self) -> bool:
        """Return whether the learner is scored on validation episodes at all."""
        return bool(self.validations or self.validate_every_s)

    @property
    def train_shape(self) -> EpisodeShape:
        """The shape of a training episode."""
        return EpisodeShape(self.n_way, self.n_shot, self.n_query)

    @property
    def val_scoring(self) -> Scoring:
        """The validation episodes, the same for every training on a data set."""
        return Scoring(self.val_n_way, self.val_n_shot, self.val_n_query, self.val_episodes)
