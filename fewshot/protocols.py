"""THE page: the axes legend and the contracts between the harness, learners and backbones.

Axes, as suffixes of tensor names inside numerical code:
    T episodes in a batch   N way (classes in an episode)   K shot
    S = N*K support images  Q query images in the episode   M = S+Q images in the episode
    D features              C H W image                     I images in a data set or batch
So `support_z_TSD` holds the features of the support images of T episodes.

Words: an *episode* is one few-shot problem with a *support* (labelled) and a *query* (to label)
part; a *learner* is an algorithm; a *split* (train, val, test) is a set of classes.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class EpisodeBatch(NamedTuple):
    """T training episodes; in each the S support images come first, then the Q query images.

    Learners that need no support/query split (MTL) use `x_TMCHW` and `y_TM` whole.

    x_TMCHW: images, float. y_TM: labels 0..N-1 within the episode.
    class_ids_TN: the training class (0 .. n_classes-1) behind each label. n_support: S.
    """

    x_TMCHW: Tensor
    y_TM: Tensor
    class_ids_TN: Tensor
    n_support: int

    @property
    def n_way(self) -> int:
        """N, the classes of each episode."""
        return int(self.class_ids_TN.shape[1])

    @property
    def support(self) -> tuple[Tensor, Tensor]:
        """Images x_TSCHW and labels y_TS of the support."""
        return self.x_TMCHW[:, : self.n_support], self.y_TM[:, : self.n_support]

    @property
    def query(self) -> tuple[Tensor, Tensor]:
        """Images x_TQCHW and labels y_TQ of the queries."""
        return self.x_TMCHW[:, self.n_support :], self.y_TM[:, self.n_support :]


class ImageBatch(NamedTuple):
    """Labelled training images: x_ICHW float, y_I the training class 0 .. n_classes-1."""

    x_ICHW: Tensor
    y_I: Tensor


Batch = EpisodeBatch | ImageBatch
BatchNormMode = Literal["running", "support", "query"]


class Backbone(ABC, nn.Module):  # in this order: `higher` can patch no other
    """Images to features: `forward(x_ICHW) -> z_ID`, with D = `out_dim`.

    Built as `SomeBackbone(config, image_size, norm=...)`, where `norm` makes a normalisation layer
    of a channel count; it knows pixels, never ways or shots.
    """

    Config: ClassVar[type]
    out_dim: int

    @abstractmethod
    def forward(self, x_ICHW: Tensor) -> Tensor:
        """Return the features z_ID of images x_ICHW."""


class Learner(ABC, nn.Module):  # in this order, as above
    """A few-shot algorithm. The harness owns data, clock, optimiser and score; this owns maths.

    `config` is a frozen dataclass, class attribute `Config`. `n_classes` is how many training
    classes there are. Nothing here may draw from a global random stream or read query labels at
    test: `adapt` and `predict` never receive them.
    """

    Config: ClassVar[type]
    trains_on: ClassVar[Literal["episodes", "images", "nothing"]]
    transductive: bool = False
    """True if the prediction of one query image may depend on the other query images."""
    views: int = 1
    """The versions of each image (such as its mirror image) from which it adapts and predicts."""
    batch_norm: BatchNormMode = "running"
    """The statistics that batch norm uses at test: running ones, or an episode's own."""
    differentiable_norm: ClassVar[bool] = False
    """True if it needs a backbone with the suite's batch norm: to differentiate a gradient, or to
    have the statistics of an episode. Such a backbone must not drop anything at random."""
    label_tied: ClassVar[bool] = False
    """True if the head is tied to label positions, so that relabelling changes more than order."""

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.n_classes = n_classes

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Return the scalar that an outer step descends, for a batch of the kind in `trains_on`."""

    @abstractmethod
    def adapt(self, support_x_TSCHW: Tensor, support_y_TS: Tensor, n_way: int) -> Any:
        """Return the lesson of the support as a value; changes nothing, so twice gives the same."""

    @abstractmethod
    def predict(self, state: Any, query_x_TQCHW: Tensor) -> Tensor:
        """Return logits_TQN of the query images, given the value that `adapt` returned."""


class FeatureLearner(Learner):
    """A learner whose backbone is frozen at test time: it adapts and predicts on features.

    The harness embeds each image of a split once and scores any number of episodes from that
    table; `adapt` and `predict` on images give the same logits (a contract test holds this).
    """

    def embed(self, x_ICHW: Tensor) -> Tensor:
        """Return the features z_ID of images; no image may change the features of another."""
        return self.backbone(x_ICHW)

    def loss(self, batch: Any) -> Tensor:
        """Return the mean cross-entropy of the queries, after adapting to the support.

        For learners that train on episodes as they are tested; the others write their own.
        """
        z_TMD, s = self.embed_episodes(batch.x_TMCHW), batch.n_support
        state = self.adapt_features(z_TMD[:, :s], batch.y_TM[:, :s], batch.n_way)
        return self.query_loss(self.predict_features(state, z_TMD[:, s:]), batch.y_TM[:, s:])

    def query_loss(self, logits_TQN: Tensor, query_y_TQ: Tensor) -> Tensor:
        """Return the mean cross-entropy over all query images."""
        return cross_entropy(logits_TQN.flatten(0, 1), query_y_TQ.flatten())

    @abstractmethod
    def adapt_features(self, support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int) -> Any:
        """Return the lesson of the support, as `adapt` does, from its features."""

    @abstractmethod
    def predict_features(self, state: Any, query_z_TQD: Tensor) -> Tensor:
        """Return logits_TQN, as `predict` does, from the features of the query images."""

    def adapt(self, support_x_TSCHW: Tensor, support_y_TS: Tensor, n_way: int) -> Any:
        return self.adapt_features(self.embed_episodes(support_x_TSCHW), support_y_TS, n_way)

    def predict(self, state: Any, query_x_TQCHW: Tensor) -> Tensor:
        return self.predict_features(state, self.embed_episodes(query_x_TQCHW))

    def embed_episodes(self, x_TMCHW: Tensor) -> Tensor:
        """Return the features z_TMD of the images of episodes, all embedded together."""
        return self.embed(x_TMCHW.flatten(0, 1)).unflatten(0, x_TMCHW.shape[:2])


class Augment(Protocol):
    """Random changes of a batch of images on its own device, drawn from `generator`."""

    def __call__(self, x_IHWC: Tensor, generator: torch.Generator) -> Tensor:
        """Return uint8 images of the same shape."""
