"""What every learner claims, checked: `fewshot check` and the repository's own tests run this.

Each check takes a `Subject`, builds small learners from it, and raises `FaultError` with a message
that names what is wrong, or `NotApplicableError`.
"""

import gc
import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from fewshot.backbones import BACKBONES
from fewshot.backbones.norm import BatchNorm
from fewshot.config import Recipe, Scoring, read_options
from fewshot.data import drawn_sources
from fewshot.data.augment import AUGMENTS
from fewshot.errors import unknown_name
from fewshot.evaluate import evaluate
from fewshot.metrics import mean_ci95
from fewshot.outside import with_learner
from fewshot.protocols import (
    Backbone,
    Batch,
    EpisodeBatch,
    EpisodeSource,
    FeatureLearner,
    ImageBatch,
    Learner,
)
from fewshot.sampling import EpisodeShape, Split
from fewshot.train import train

N_CLASSES = 8
IMAGE_SIZE = 16  # pixels of the made images, on which all but learning is checked
GLYPH_SIZE = 32
GLYPHS_PER_CLASS = 40
SHAPES = (EpisodeShape(5, 1, 3), EpisodeShape(3, 4, 2), EpisodeShape(8, 2, 1))
CLOSE = 1e-6  # of logits in float64 whose sums ran in another order, or whose solver stopped
STEPS = 20
SMALL = {
    "filters": 16,
    "widths": (4, 6, 8, 10),
    "drop_rate": 0.0,
}  # options of backbones, where they have them
LEARNING = Recipe(
    steps=40,
    optimizer="adam",
    lr=2e-3,
    weight_decay=0,
    augment="none",
    batch_size=64,
    episodes_per_step=2,
    n_query=5,
    validations=1,
    val_episodes=10,
)
SCORING = Scoring(n_query=5, episodes=60)
CPU = torch.device("cpu")


class FaultError(Exception):
    """What is wrong with a learner, in one line."""


class NotApplicableError(Exception):
    """Why a check says nothing about a learner."""


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
        """A new learner, the same each time; with a head of `n_way` rows if it fixes them."""
        torch.manual_seed(0)
        norm = BatchNorm if self.learner.differentiable_norm else nn.BatchNorm2d
        backbone = self.backbone(self.backbone_options, image_size, norm=norm)
        options = self.options
        if any(f.name == "n_way" for f in fields(options)):
            options = replace(options, n_way=n_way)
        return self.learner(backbone, options, n_classes)

    def exact(self, n_way: int = 5) -> Learner:
        """A new learner in float64, as at test."""
        return self.build(n_way).double().eval()


def make_subject(learner: str, backbone: str, settings: Sequence[str] = ()) -> Subject:
    """What `fewshot check` checks: a learner by NAME or FILE.py:CLASS, `option=value` settings.

    Raises UserError for unknown names and options.
    """
    name, learners = with_learner(learner)
    if backbone not in BACKBONES:
        raise unknown_name("backbone", backbone, BACKBONES)
    cls, net = learners[name], BACKBONES[backbone]
    return Subject(cls, read_options(cls.Config, settings, name), net, _small(net))


def _small(backbone: type[Backbone]) -> Any:
    """Options of a backbone that make it small."""
    options = {f.name for f in fields(backbone.Config)}
    return backbone.Config(**{key: value for key, value in SMALL.items() if key in options})


@dataclass(frozen=True)
class Outcome:
    """How a check ended; `message` says what is wrong, or why it was skipped."""

    name: str
    verdict: Literal["passed", "failed", "skipped"]
    message: str
    seconds: float


Check = Callable[[Subject], None]


def run_checks(
    subject: Subject,
    checks: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda name: None,
) -> list[Outcome]:
    """The outcome of each check, all of them if none are named; `say` is told of each one."""
    out = []
    for name in CHECKS if checks is None else checks:
        say(name)
        start = time.perf_counter()
        verdict: Literal["passed", "failed", "skipped"] = "passed"
        message = ""
        try:
            CHECKS[name](subject)
        except FaultError as fault:
            verdict, message = "failed", str(fault)
        except NotApplicableError as reason:
            verdict, message = "skipped", str(reason)
        except Exception as error:
            text = (str(error).splitlines() or [""])[0]
            verdict, message = "failed", f"raised {type(error).__name__}: {text}"
        out.append(Outcome(name, verdict, message, time.perf_counter() - start))
    return out


# What episodes are made of ------------------------------------------------------------------


def made_batch(shape: EpisodeShape, n_episodes: int = 3, seed: int = 0) -> EpisodeBatch:
    """Episodes of noisy images around a mean image of each class, in float64."""
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
    """The batch in the form that a learner trains on.

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
    """Logits_TQN of a batch's queries, given its support."""
    s, n_way = batch.n_support, batch.n_way
    state = learner.adapt(batch.x_TMCHW[:, :s], batch.y_TM[:, :s], n_way)
    return learner.predict(state, batch.x_TMCHW[:, s:])


# The checks ---------------------------------------------------------------------------------


def shapes_and_numbers(subject: Subject) -> None:
    """Logits have the right shape at several ways and shots, and are numbers."""
    for shape in SHAPES:
        batch = made_batch(shape)
        found = logits(subject.exact(shape.n_way), batch)
        wanted = (3, shape.n_way * shape.n_query, shape.n_way)
        where = f"{shape.n_way}-way {shape.n_shot}-shot"
        if tuple(found.shape) != wanted:
            raise FaultError(f"{where}: logits of shape {tuple(found.shape)}, expected {wanted}")
        if not found.isfinite().all():
            raise FaultError(f"{where}: logits hold nan or infinity")


def logits_depend_on_queries(subject: Subject) -> None:
    """Different query images get different logits, and so do different classes."""
    found = logits(subject.exact(), made_batch(SHAPES[0]))
    if torch.equal(found, found[:, :1].expand_as(found)):
        raise FaultError("constant logits: every query image of an episode gets the same")
    if torch.equal(found, found[..., :1].expand_as(found)):
        raise FaultError("constant logits: every class gets the same")


def adapting_changes_nothing(subject: Subject) -> None:
    """`adapt` and `predict` leave the learner and their inputs as they were."""
    learner, batch = subject.exact(), made_batch(SHAPES[0])
    weights = {k: v.clone() for k, v in learner.state_dict().items()}
    images, labels = batch.x_TMCHW.clone(), batch.y_TM.clone()
    logits(learner, batch)
    for key, value in learner.state_dict().items():
        if key not in weights or not torch.equal(value, weights[key]):
            raise FaultError(f"adapt or predict changes the learner: {key}")
    if learner.training:
        raise FaultError("adapt or predict sets the learner to training mode")
    if not (torch.equal(images, batch.x_TMCHW) and torch.equal(labels, batch.y_TM)):
        raise FaultError("adapt or predict changes the images or labels that it is given")


def nothing_is_remembered(subject: Subject) -> None:
    """What was adapted to, or predicted, before makes no difference."""
    learner, batch = subject.exact(), made_batch(SHAPES[0])
    s = batch.n_support
    first = logits(learner, batch)
    logits(learner, made_batch(SHAPES[0], seed=1))
    if not torch.equal(first, logits(learner, batch)):
        raise FaultError("the same episode gets other logits after another one: it keeps a state")
    with torch.no_grad():
        state = learner.adapt(batch.x_TMCHW[:, :s], batch.y_TM[:, :s], 5)
        learner.predict(state, batch.x_TMCHW[:, s:].flip(1))
        again = learner.predict(state, batch.x_TMCHW[:, s:])
    if not torch.equal(first, again):
        raise FaultError("predict twice on one state gives other logits: it keeps a state")


def query_labels_do_not_leak(subject: Subject) -> None:
    """A step of training tells nothing that grades itself: shuffled query labels, same logits."""
    batch = made_batch(SHAPES[0])
    s = batch.n_support
    found = []
    for shift in (0, 1):
        learner = subject.exact()
        y_TM = batch.y_TM.clone()
        y_TM[:, s:] = (y_TM[:, s:] + shift) % 5
        seen = training_batch(learner, batch._replace(y_TM=y_TM))
        learner.train()
        learner.loss(seen)
        learner.eval()
        found.append(logits(learner, batch))
    if not torch.equal(*found):
        raise FaultError(
            "label leak: query labels that `loss` saw change the logits without a step"
        )


def repeats_itself(subject: Subject) -> None:
    """Built and trained on the same, it gives the same."""
    batch = made_batch(SHAPES[1])
    found = []
    for _ in range(2):
        learner = subject.exact(3)
        out = [logits(learner, batch)]
        if learner.trains_on != "nothing":
            learner.train()
            out.append(learner.loss(training_batch(learner, batch)).detach())
        found.append(out)
    if not all(torch.equal(a, b) for a, b in zip(*found, strict=True)):
        raise FaultError("two learners built alike give other logits or losses")


def no_global_randomness(subject: Subject) -> None:
    """Neither `adapt`, `predict` nor `loss` draws from a random stream that all share."""
    learner, batch = subject.exact(), made_batch(SHAPES[0])
    with _watched_streams("adapt and predict"):
        logits(learner, batch)
    if learner.trains_on != "nothing":
        learner.train()
        with _watched_streams("loss"):
            learner.loss(training_batch(learner, batch))


@contextmanager
def _watched_streams(what: str) -> Iterator[None]:
    """Raises FaultError when what is done inside moves a global random stream."""
    before = _streams()
    yield
    after = _streams()
    for name, state in before.items():
        if after[name] != state:
            raise FaultError(f"{what}: draws from the global random stream of {name}")


def _streams() -> dict[str, str | bytes]:
    return {
        "random": str(random.getstate()),
        "numpy": str(np.random.get_state()),  # noqa: NPY002 - the old stream is the one shared
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def support_order(subject: Subject) -> None:
    """The order of the support images makes no difference."""
    batch = made_batch(SHAPES[1])
    order = torch.arange(batch.y_TM.shape[1])
    order[: batch.n_support] = torch.randperm(batch.n_support, generator=_generator())
    moved = batch._replace(x_TMCHW=batch.x_TMCHW[:, order], y_TM=batch.y_TM[:, order])
    _same(subject.exact(3), batch, moved, "depends on the order of the support images")


def query_order(subject: Subject) -> None:
    """The order of the query images makes no difference to the logits of each."""
    batch, s = made_batch(SHAPES[1]), made_batch(SHAPES[1]).n_support
    order = torch.randperm(batch.y_TM.shape[1] - s, generator=_generator())
    whole = torch.cat([torch.arange(s), s + order])
    moved = batch._replace(x_TMCHW=batch.x_TMCHW[:, whole], y_TM=batch.y_TM[:, whole])
    learner = subject.exact(3)
    if not _close(logits(learner, batch)[:, order], logits(learner, moved)):
        raise FaultError("a query's logits depend on the order of the query images")


def episodes_are_apart(subject: Subject) -> None:
    """An episode alone and among others gets the same logits."""
    batch, learner = made_batch(SHAPES[0]), subject.exact()
    together = logits(learner, batch)
    for t in range(len(together)):
        one = slice(t, t + 1)
        alone = batch._replace(
            x_TMCHW=batch.x_TMCHW[one],
            y_TM=batch.y_TM[one],
            class_ids_TN=batch.class_ids_TN[one],
        )
        if not _close(together[one], logits(learner, alone)):
            raise FaultError("an episode's logits depend on the other episodes of its batch")


def relabelling(subject: Subject) -> None:
    """Other labels for the same classes permute the logits, unless the head is tied to labels."""
    if subject.learner.label_tied:
        raise NotApplicableError("its head is tied to labels, as declared")
    batch, learner = made_batch(SHAPES[0]), subject.exact()
    new_label = torch.tensor([3, 0, 4, 1, 2])
    moved = batch._replace(y_TM=new_label[batch.y_TM])
    if not _close(logits(learner, batch), logits(learner, moved)[..., new_label]):
        raise FaultError(
            "relabelled classes do not permute the logits (declare label_tied if meant)"
        )


def inductive_as_declared(subject: Subject) -> None:
    """Queries one by one and together get the same logits, unless it is declared transductive."""
    batch, learner = made_batch(SHAPES[0]), subject.exact()
    s = batch.n_support
    together = logits(learner, batch)
    with torch.no_grad():
        state = learner.adapt(batch.x_TMCHW[:, :s], batch.y_TM[:, :s], 5)
        one_by_one = [learner.predict(state, x) for x in batch.x_TMCHW[:, s:].split(1, dim=1)]
    same = _close(together, torch.cat(one_by_one, dim=1))
    if not same and not learner.transductive:
        raise FaultError(
            "leaks query statistics: a query's logits depend on the other queries, and it is not "
            "declared transductive"
        )
    if same and learner.transductive:
        raise FaultError("declared transductive, but a query's logits do not depend on the others")


def gradients_reach_every_parameter(subject: Subject) -> None:
    """A step of training moves all that can be trained."""
    learner = subject.exact(N_CLASSES).train()
    batch = training_batch(learner, made_batch(EpisodeShape(N_CLASSES, 3, 4), 2))
    loss = learner.loss(batch)
    if loss.shape != () or not loss.isfinite():
        raise FaultError(f"loss must be one finite number, not {loss.tolist()}")
    loss.backward()
    for key, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        # A convolution's bias before batch norm has no effect: its gradient is rounding error.
        if parameter.grad is None or (
            not key.endswith("bias") and parameter.grad.abs().max() <= 1e-12
        ):
            raise FaultError(f"no gradient reaches {key}")


def saves_and_loads(subject: Subject) -> None:
    """Another learner with its saved weights gives the same logits."""
    batch, learner, other = made_batch(SHAPES[0]), subject.exact(), subject.exact()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.01)
    file = io.BytesIO()
    torch.save(learner.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    if not torch.equal(logits(learner, batch), logits(other, batch)):
        raise FaultError(
            "saved and loaded, it gives other logits: something is not in its state_dict"
        )


def features_equal_images(subject: Subject) -> None:
    """Adapting on the feature table gives the logits that images give."""
    learner, batch = subject.exact(), made_batch(SHAPES[0])
    if not isinstance(learner, FeatureLearner):
        raise NotApplicableError("its backbone is adapted at test")
    s = batch.n_support
    with torch.no_grad():
        z_TMD = learner.embed(batch.x_TMCHW.flatten(0, 1)).unflatten(0, batch.y_TM.shape)
        state = learner.adapt_features(z_TMD[:, :s], batch.y_TM[:, :s], 5)
        from_table = learner.predict_features(state, z_TMD[:, s:])
    if not _close(from_table, logits(learner, batch)):
        raise FaultError("features and images give other logits")


def memory_stays_flat(subject: Subject) -> None:
    """Over twenty steps the tensors alive do not grow from each quarter to the next."""
    learner = subject.build()
    batch = made_batch(SHAPES[0], n_episodes=1)
    batch = batch._replace(x_TMCHW=batch.x_TMCHW.float())
    alive = []
    for step in range(1, STEPS + 1):
        if learner.trains_on != "nothing":
            learner.train()
            learner.zero_grad(set_to_none=True)
            learner.loss(training_batch(learner, batch)).backward()
        logits(learner.eval(), batch)
        if step % (STEPS // 4) == 0:
            alive.append(_tensor_bytes())
    if all(after > before for before, after in pairwise(alive)):
        grown = (alive[-1] - alive[0]) / (STEPS - STEPS // 4)
        raise FaultError(f"memory grows: tensors of {grown:,.0f} bytes more are kept at every step")


def above_chance(subject: Subject) -> None:
    """After a short training on drawn characters it does better than guessing."""
    rows = evaluate(_trained(subject), _glyphs()["test"], SCORING, AUGMENTS["none"], CPU).episodes
    mean, half = mean_ci95(rows["accuracy"].to_numpy())
    if not mean - half > 1 / SCORING.n_way:
        raise FaultError(
            f"{100 * mean:.1f} ± {100 * half:.1f} % after {LEARNING.steps} steps on glyphs, "
            f"no better than chance ({100 / SCORING.n_way:.0f} %)"
        )


def chance_on_shuffled_labels(subject: Subject) -> None:
    """With support labels that say nothing, it can only guess."""
    blind = _ShuffledSupport(_trained(subject))
    rows = evaluate(blind, _glyphs()["test"], SCORING, AUGMENTS["none"], CPU).episodes
    mean, half = mean_ci95(rows["accuracy"].to_numpy())
    # Twice the interval: a false alarm in some 10,000.
    if mean - 2 * half > 1 / SCORING.n_way:
        raise FaultError(
            f"{100 * mean:.1f} % with shuffled support labels, where only "
            f"{100 / SCORING.n_way:.0f} % can be had: it knows the labels from elsewhere"
        )


CHECKS: dict[str, Check] = {
    check.__name__.replace("_", " "): check
    for check in (
        shapes_and_numbers,
        logits_depend_on_queries,
        adapting_changes_nothing,
        nothing_is_remembered,
        query_labels_do_not_leak,
        repeats_itself,
        no_global_randomness,
        support_order,
        query_order,
        episodes_are_apart,
        relabelling,
        inductive_as_declared,
        gradients_reach_every_parameter,
        saves_and_loads,
        features_equal_images,
        memory_stays_flat,
        above_chance,
        chance_on_shuffled_labels,
    )
}


class _ShuffledSupport(Learner):
    """A learner that is handed the support labels in another order, in each episode its own."""

    trains_on = "nothing"

    def __init__(self, inner: Learner) -> None:
        super().__init__(inner.backbone, inner.config, inner.n_classes)
        self.inner = inner
        self.transductive = inner.transductive

    def loss(self, batch: Any) -> Tensor:
        raise NotImplementedError

    def adapt(self, support_x_TSCHW: Tensor, support_y_TS: Tensor, n_way: int) -> Any:
        order_TS = torch.rand(support_y_TS.shape, generator=_generator()).argsort(1)
        return self.inner.adapt(support_x_TSCHW, support_y_TS.gather(1, order_TS), n_way)

    def predict(self, state: Any, query_x_TQCHW: Tensor) -> Tensor:
        return self.inner.predict(state, query_x_TQCHW)


@lru_cache(maxsize=1)
def _glyphs() -> dict[Split, EpisodeSource]:
    return drawn_sources(GLYPHS_PER_CLASS)


@lru_cache(maxsize=1)
def _trained(subject: Subject) -> Learner:
    """After a short training on glyphs, of Conv4: deeper networks learn little in so few steps."""
    sources, conv4 = _glyphs(), BACKBONES["conv4"]
    subject = replace(subject, backbone=conv4, backbone_options=_small(conv4))
    learner = subject.build(n_classes=len(sources["train"].class_names), image_size=GLYPH_SIZE)
    if learner.trains_on == "nothing":
        return learner.eval()

    def validate(candidate: Learner) -> float:
        score = evaluate(candidate, sources["val"], LEARNING.val_scoring, AUGMENTS["none"], CPU)
        return score.accuracy

    train(learner, sources["train"], AUGMENTS["none"], validate, LEARNING, 0, CPU)
    return learner


def _same(learner: Learner, batch: EpisodeBatch, moved: EpisodeBatch, fault: str) -> None:
    if not _close(logits(learner, batch), logits(learner, moved)):
        raise FaultError(fault)


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=CLOSE, atol=CLOSE)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _tensor_bytes() -> int:
    """Of all tensors that Python knows."""
    gc.collect()
    # By type: asking an object that only poses as a tensor may run its code.
    tensors = [o for o in gc.get_objects() if issubclass(type(o), Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors)
