"""What every learner claims, checked over every learner."""

from dataclasses import replace

import pytest
import torch
from conftest import make_source, small_learner, ways_of

from fewshot.config import Scoring
from fewshot.data.augment import AUGMENTS
from fewshot.episode import Images, episode_batch, episode_rows
from fewshot.evaluate import evaluate
from fewshot.learners import LEARNERS
from fewshot.protocols import FeatureLearner, ImageBatch, Learner
from fewshot.sampling import EpisodeShape, draw_episode

N_CLASSES = 8
SHAPES = [EpisodeShape(5, 1, 3), EpisodeShape(3, 4, 2), EpisodeShape(8, 2, 1)]
every_learner = pytest.mark.parametrize("name", list(LEARNERS))
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def make_learner(name: str, n_way: int = 5) -> Learner:
    """A small untrained learner in float64, in evaluation mode, for episodes of `n_way` classes."""
    options = ways_of(name, n_way)
    return small_learner(name, N_CLASSES, filters=8, **options).double().eval()


def make_batch(shape: EpisodeShape, count: int = 3):
    source = make_source("train", N_CLASSES)
    drawn = [draw_episode(0, "train", i, source.class_sizes, shape) for i in range(count)]
    rows = episode_rows(drawn, source.class_starts)
    images = Images(source, torch.device("cpu"))
    batch = episode_batch(rows, images, AUGMENTS["none"], torch.Generator())
    return batch._replace(x_TMCHW=batch.x_TMCHW.double())


def halves(batch):
    s = batch.n_support
    return (
        batch.x_TMCHW[:, :s],
        batch.y_TM[:, :s],
        batch.x_TMCHW[:, s:],
        batch.y_TM[:, s:],
    )


@torch.no_grad()
def logits_of(learner: Learner, support_x, support_y, query_x, n_way: int):
    return learner.predict(learner.adapt(support_x, support_y, n_way), query_x)


@every_learner
@every_shape
def test_shapes_and_finite_logits(name, shape):
    support_x, support_y, query_x, query_y = halves(make_batch(shape))
    logits_TQN = logits_of(
        make_learner(name, shape.n_way), support_x, support_y, query_x, shape.n_way
    )
    assert logits_TQN.shape == (*query_y.shape, shape.n_way)
    assert logits_TQN.isfinite().all()


@every_learner
def test_adapting_changes_nothing_and_repeats(name):
    learner = make_learner(name)
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    support_x, support_y, query_x, _ = halves(make_batch(SHAPES[0]))
    first = logits_of(learner, support_x, support_y, query_x, 5)
    assert torch.equal(first, logits_of(learner, support_x, support_y, query_x, 5))
    assert all(torch.equal(v, before[k]) for k, v in learner.state_dict().items())


@every_learner
def test_inductive_learners_see_one_query_at_a_time(name):
    learner = make_learner(name)
    support_x, support_y, query_x, _ = halves(make_batch(SHAPES[0]))
    together = logits_of(learner, support_x, support_y, query_x, 5)
    state = learner.adapt(support_x, support_y, 5)
    with torch.no_grad():
        apart = torch.cat([learner.predict(state, x) for x in query_x.split(1, dim=1)], dim=1)
    assert torch.allclose(together, apart, atol=1e-9) != learner.transductive


@every_learner
def test_an_episode_alone_equals_itself_in_a_batch(name):
    learner = make_learner(name)
    support_x, support_y, query_x, _ = halves(make_batch(SHAPES[0]))
    together = logits_of(learner, support_x, support_y, query_x, 5)
    for t in range(len(support_x)):
        one = slice(t, t + 1)
        alone = logits_of(learner, support_x[one], support_y[one], query_x[one], 5)
        assert torch.allclose(together[one], alone, atol=1e-6)


@every_learner
def test_support_order_does_not_matter(name):
    learner = make_learner(name, n_way=3)
    support_x, support_y, query_x, _ = halves(make_batch(SHAPES[1]))
    order = torch.randperm(support_x.shape[1], generator=torch.Generator().manual_seed(0))
    first = logits_of(learner, support_x, support_y, query_x, 3)
    second = logits_of(learner, support_x[:, order], support_y[:, order], query_x, 3)
    assert torch.allclose(first, second, atol=1e-6)


@every_learner
def test_relabelling_permutes_the_logits(name):
    learner = make_learner(name)
    if learner.label_tied:
        pytest.skip("the head is tied to labels, as declared")
    support_x, support_y, query_x, _ = halves(make_batch(SHAPES[0]))
    new_label = torch.tensor([3, 0, 4, 1, 2])
    first = logits_of(learner, support_x, support_y, query_x, 5)
    second = logits_of(learner, support_x, new_label[support_y], query_x, 5)
    assert torch.allclose(first, second[..., new_label], atol=1e-6)


@every_learner
@pytest.mark.filterwarnings("ignore:iMAML")  # of no matter here whether it converges
def test_a_gradient_reaches_every_parameter(name):
    learner = make_learner(name, N_CLASSES).train()
    if learner.trains_on == "nothing":
        pytest.skip("not trained")
    batch = make_batch(EpisodeShape(N_CLASSES, 3, 4), count=2)
    if learner.trains_on == "images":
        labels = batch.class_ids_TN.gather(1, batch.y_TM)
        batch = ImageBatch(batch.x_TMCHW.flatten(0, 1), labels.flatten())
    learner.loss(batch).backward()
    for key, parameter in learner.named_parameters():
        assert parameter.grad is not None, key
        # A convolution's bias before batch norm has no effect: its gradient is rounding error.
        if not key.endswith("bias"):
            assert parameter.grad.abs().max() > 1e-12, key


@every_learner
def test_features_and_images_give_the_same_scores(name, cpu, monkeypatch):
    learner = make_learner(name).float()
    if not isinstance(learner, FeatureLearner):
        pytest.skip("its backbone is adapted at test")
    source, scoring = make_source("test"), Scoring(n_shot=2, n_query=4, episodes=12)
    from_table = evaluate(learner, source, scoring, AUGMENTS["none"], cpu)
    monkeypatch.setattr("fewshot.evaluate.FeatureLearner", type("Never", (), {}))
    from_images = evaluate(learner, source, scoring, AUGMENTS["none"], cpu)
    assert (from_table.episodes.accuracy == from_images.episodes.accuracy).all()
    assert abs(from_table.episodes.nll - from_images.episodes.nll).max() < 1e-4
    assert from_table.digest == from_images.digest


@every_learner
def test_saved_and_loaded_it_gives_the_same_logits(name, tmp_path):
    learner, other = make_learner(name), make_learner(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    torch.save(learner.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    support_x, support_y, query_x, _ = halves(make_batch(SHAPES[0]))
    assert torch.equal(
        logits_of(learner, support_x, support_y, query_x, 5),
        logits_of(other, support_x, support_y, query_x, 5),
    )


@every_learner
def test_support_copies_of_the_identity_change_nothing_but_weight(name, cpu):
    """Copies made by the identity are duplicates: centroids stay, so accuracies must too."""
    if name not in ("pixels", "protonet"):
        pytest.skip("a regularised head weighs duplicates differently")
    learner, source = make_learner(name).float(), make_source()
    scoring = Scoring(n_shot=2, n_query=4, episodes=12)
    clean = evaluate(learner, source, scoring, AUGMENTS["none"], cpu)
    copied = evaluate(learner, source, replace(scoring, support_copies=3), AUGMENTS["none"], cpu)
    assert (clean.episodes.accuracy == copied.episodes.accuracy).all()
