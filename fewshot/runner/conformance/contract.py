"""The claims of every learner, checked: `fewshot check` and the repository's tests run this.

Each check takes a `Subject`, builds small learners from it, and raises `FaultError` with a message
that names what is wrong, or `NotApplicableError`.
"""

import gc
import io
import random
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from fewshot.episodes.sampling import EpisodeShape
from fewshot.protocols import EpisodeBatch, FeatureLearner
from fewshot.runner.conformance.subject import (
    N_CLASSES,
    SHAPES,
    FaultError,
    NotApplicableError,
    Subject,
    close,
    generator,
    halves,
    logits,
    made_batch,
    training_batch,
)

STEPS = 20


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
    """Earlier episodes and predictions make no difference."""
    learner, batch = subject.exact(), made_batch(SHAPES[0])
    first = logits(learner, batch)
    logits(learner, made_batch(SHAPES[0], seed=1))
    if not torch.equal(first, logits(learner, batch)):
        raise FaultError("the same episode gets other logits after another one: it keeps a state")
    support, query_x_TQCHW = halves(batch)
    with torch.no_grad():
        state = learner.adapt(*support)
        learner.predict(state, query_x_TQCHW.flip(1))
        again = learner.predict(state, query_x_TQCHW)
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
        learner.train().loss(training_batch(learner, batch._replace(y_TM=y_TM)))
        found.append(logits(learner.eval(), batch))
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
            out.append(learner.train().loss(training_batch(learner, batch)).detach())
        found.append(out)
    if not all(torch.equal(a, b) for a, b in zip(*found, strict=True)):
        raise FaultError("two learners built alike give other logits or losses")


def no_global_randomness(subject: Subject) -> None:
    """Neither `adapt`, `predict` nor `loss` draws from a random stream that all share."""
    learner, batch = subject.exact(), made_batch(SHAPES[0])
    before = _streams()
    logits(learner, batch)
    _check_streams(before, "adapt and predict")
    if learner.trains_on != "nothing":
        learner.train().loss(training_batch(learner, batch))
        _check_streams(before, "loss")


def _check_streams(before: dict[str, str | bytes], what: str) -> None:
    for name, state in _streams().items():
        if before[name] != state:
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
    order_M = torch.arange(batch.y_TM.shape[1])
    order_M[: batch.n_support] = torch.randperm(batch.n_support, generator=generator())
    learner = subject.exact(3)
    if not close(logits(learner, batch), logits(learner, _reordered(batch, order_M))):
        raise FaultError("depends on the order of the support images")


def query_order(subject: Subject) -> None:
    """The order of the query images makes no difference to the logits of each."""
    learner, batch = subject.exact(3), made_batch(SHAPES[1])
    s = batch.n_support
    order_Q = torch.randperm(batch.y_TM.shape[1] - s, generator=generator())
    moved = _reordered(batch, torch.cat([torch.arange(s), s + order_Q]))
    if not close(logits(learner, batch)[:, order_Q], logits(learner, moved)):
        raise FaultError("a query's logits depend on the order of the query images")


def _reordered(batch: EpisodeBatch, order_M: Tensor) -> EpisodeBatch:
    return batch._replace(x_TMCHW=batch.x_TMCHW[:, order_M], y_TM=batch.y_TM[:, order_M])


def episodes_are_apart(subject: Subject) -> None:
    """An episode alone and among others gets the same logits."""
    batch, learner = made_batch(SHAPES[0]), subject.exact()
    together = logits(learner, batch)
    x_TMCHW, y_TM, ids_TN, s = batch
    for t in range(len(together)):
        one = slice(t, t + 1)
        alone = EpisodeBatch(x_TMCHW[one], y_TM[one], ids_TN[one], s)
        if not close(together[one], logits(learner, alone)):
            raise FaultError("an episode's logits depend on the other episodes of its batch")


def relabelling(subject: Subject) -> None:
    """Other labels for the same classes permute the logits, unless the head is tied to labels."""
    if subject.learner.label_tied:
        raise NotApplicableError("its head is tied to labels, as declared")
    batch, learner = made_batch(SHAPES[0]), subject.exact()
    new_label = torch.tensor([3, 0, 4, 1, 2])
    moved = batch._replace(y_TM=new_label[batch.y_TM])
    if not close(logits(learner, batch), logits(learner, moved)[..., new_label]):
        raise FaultError(
            "relabelled classes do not permute the logits (declare label_tied if meant)"
        )


def inductive_as_declared(subject: Subject) -> None:
    """Queries one by one and together get the same logits, unless it is declared transductive."""
    batch, learner = made_batch(SHAPES[0]), subject.exact()
    together = logits(learner, batch)
    support, query_x_TQCHW = halves(batch)
    with torch.no_grad():
        state = learner.adapt(*support)
        one_by_one = [learner.predict(state, x) for x in query_x_TQCHW.split(1, dim=1)]
    same = close(together, torch.cat(one_by_one, dim=1))
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
        z_TMD = learner.embed_episodes(batch.x_TMCHW)
        state = learner.adapt_features(z_TMD[:, :s], batch.y_TM[:, :s], 5)
        from_table = learner.predict_features(state, z_TMD[:, s:])
    if not close(from_table, logits(learner, batch)):
        raise FaultError("features and images give other logits")


def memory_stays_flat(subject: Subject) -> None:
    """Over twenty steps the tensors alive do not grow from each quarter to the next."""
    learner = subject.build()
    batch = made_batch(SHAPES[0], n_episodes=1)
    batch = batch._replace(x_TMCHW=batch.x_TMCHW.float())
    alive = []
    for step in range(1, STEPS + 1):
        if learner.trains_on != "nothing":
            learner.zero_grad(set_to_none=True)
            learner.train().loss(training_batch(learner, batch)).backward()
        logits(learner.eval(), batch)
        if step % (STEPS // 4) == 0:
            alive.append(_tensor_bytes())
    if all(after > before for before, after in pairwise(alive)):
        grown = (alive[-1] - alive[0]) / (STEPS - STEPS // 4)
        raise FaultError(f"memory grows: tensors of {grown:,.0f} bytes more are kept at every step")


def _tensor_bytes() -> int:
    """Return the bytes of all tensors that Python knows."""
    gc.collect()
    # By type: asking an object that only poses as a tensor may run its code.
    tensors = [o for o in gc.get_objects() if issubclass(type(o), Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors)
