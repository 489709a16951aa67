"""Model-agnostic meta-learning: weights that a few steps of gradient descent make good."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from fewshot.errors import UserError
from fewshot.learners.inner_loop.algebra import InnerLoop, start_weights
from fewshot.learners.inner_loop.engines import ENGINES
from fewshot.learners.inner_loop.engines.graphed import Graphed
from fewshot.learners.inner_loop.learner import GradientLearner
from fewshot.learners.inner_loop.outer import Outer, attach_gradients
from fewshot.protocols import Backbone, BatchNormMode, EpisodeBatch

OF_LIBRARIES = ("higher", "learn2learn")
"""Engines that are not the suite's own."""


@dataclass(frozen=True)
class MAMLConfig:
    """`n_way`: outputs of the head. `batch_norm`: see `GradientLearner`.

    inner_lr: of the *mean* support loss; the paper's 0.01 on its loss is 0.05 here.
    inner_steps, test_inner_steps: in training and at test (the paper: 5 and 10).
    per_step_losses, checkpoint, episodes_at_once: see `InnerLoop`. engine: `auto` is `loop` on a
    CPU and `vmap` on a GPU, where both are recorded as CUDA graphs.
    """

    n_way: int = 5
    inner_lr: float = 0.05
    inner_steps: int = 5
    test_inner_steps: int = 10
    batch_norm: BatchNormMode = "support"
    per_step_losses: bool = False
    engine: Literal["auto", "loop", "vmap", "higher", "learn2learn"] = "auto"
    episodes_at_once: int | None = None
    checkpoint: bool = False


class MAML(GradientLearner):
    """Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning", ICML 2017; second order.

    Deviations from the authors' code: batch norm has a scale, its parameters are adapted like all
    others, and the statistics at test are a choice; theirs were always the query images' own. The
    meta-gradient is not clipped, where theirs is, each number to within 10 (miniImageNet).
    """

    Config = MAMLConfig
    first_order: ClassVar[bool] = False

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        keeps = config.batch_norm == "running" or config.checkpoint
        if keeps and config.engine in OF_LIBRARIES:
            raise UserError(
                f"the engine '{config.engine}' keeps no running statistics and no checkpoints "
                "of steps: choose 'loop' or 'vmap'"
            )
        self._outer_graph = Graphed(self._outer)

    def inner_loop(self, steps: int) -> InnerLoop:
        c = self.config
        return InnerLoop(
            c.inner_lr,
            steps,
            self.first_order,
            c.batch_norm,
            c.per_step_losses,
            c.checkpoint,
            c.episodes_at_once,
        )

    def loss(self, batch: EpisodeBatch) -> Tensor:
        self.check_ways(batch.n_way)
        recorded = batch.x_TMCHW.is_cuda and self.config.engine not in OF_LIBRARIES
        outer_of = self._outer_graph if recorded else self._outer
        outer: Outer = outer_of(*batch[:3], n_support=batch.n_support)
        self.keep_statistics(outer.buffers)
        return attach_gradients(outer.loss, start_weights(self), outer.gradients)

    def _outer(self, x: Tensor, y: Tensor, class_ids: Tensor, n_support: int) -> Outer:
        name, inner = self.config.engine, self.inner_loop(self.config.inner_steps)
        if name == "auto":
            name = "vmap" if x.is_cuda else "loop"
        return ENGINES[name](self, EpisodeBatch(x, y, class_ids, n_support), inner)


class FOMAML(MAML):
    """First-order MAML, of the same paper: the inner gradients count as constants."""

    first_order = True
