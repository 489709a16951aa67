"""Scoring: the right number for each episode, and no way for a learner to see a query label."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from helpers.learners import LEARNERS, small_learner, ways_of
from helpers.sources import IMAGE_SIZE, make_source, some_classes
from torch.nn.functional import one_hot

from fewshot.episodes.augment import AUGMENTS
from fewshot.episodes.sampling import draw_episode, episodes_digest
from fewshot.harness.evaluate import evaluate
from fewshot.harness.recipe import Scoring
from fewshot.protocols import FeatureLearner, Learner

SCORING = Scoring(n_way=4, n_shot=2, n_query=3, episodes=12, episode_seed=5)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class NoConfig:
    """Nothing to choose."""


def make_learner(name):
    return small_learner(name, 8, **ways_of(name, SCORING.n_way))


def score(learner, source, scoring=SCORING, augment=AUGMENTS["none"], **options):
    return evaluate(learner, source, scoring, augment, CPU, **options)


def drawn(source, scoring):
    return [
        draw_episode(scoring.episode_seed, source.split, i, source.class_sizes, scoring.shape)
        for i in range(scoring.episodes)
    ]


class Spy(Learner):
    """Says label 0 of everything, and keeps all that it was given."""

    Config, trains_on = NoConfig, "nothing"

    def __init__(self, logit=0.0):
        super().__init__(torch.nn.Identity(), NoConfig(), 0)
        self.logit, self.adapted, self.predicted = logit, [], []

    def loss(self, batch):
        raise NotImplementedError

    def adapt(self, support_x_TSCHW, support_y_TS, n_way):
        self.adapted.append((support_x_TSCHW, support_y_TS, n_way))
        return n_way

    def predict(self, state, query_x_TQCHW):
        self.predicted.append((state, query_x_TQCHW))
        logits_TQN = torch.zeros(*query_x_TQCHW.shape[:2], state)
        logits_TQN[..., 0] = self.logit
        return logits_TQN


@pytest.fixture
def one_chunk(monkeypatch):
    monkeypatch.setattr("fewshot.harness.evaluate.ACTIVATION_BYTES", {"cpu": 2**40})


def one_by_one(learner, source, scoring):
    """Accuracy, nll and predictions of each episode, in the plainest way: an image at a time."""
    rows = []
    for episode in drawn(source, scoring):
        starts = source.class_starts[episode.class_ids_N]

        def image(label, index, starts=starts):
            pixels = source.images_IHWC[starts[label] + index] / 255
            return torch.tensor((pixels - source.mean) / source.std).float().permute(2, 0, 1)

        support = [(image(n, k), n) for n, ks in enumerate(episode.support_NK) for k in ks]
        queries = [
            (image(n, q), n) for n, q in zip(episode.query_y_Q, episode.query_Q, strict=True)
        ]
        state = learner.adapt(
            torch.stack([x for x, _ in support])[None],
            torch.tensor([[y for _, y in support]]),
            scoring.n_way,
        )
        called, right, nll = [], [], []
        for x, y in queries:
            logits_N = learner.predict(state, x[None, None])[0, 0].double()
            called.append(int(logits_N.argmax()))
            right.append(float(called[-1] == y))
            nll.append(float(logits_N.logsumexp(0) - logits_N[y]))
        rows.append((np.mean(right), np.mean(nll), called))
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", ["pixels", "protonet", "transfer"])
def test_each_episode_scores_what_a_plain_loop_says(name):
    learner, source = make_learner(name), make_source(noise=300 if name == "pixels" else 90)
    whole = score(learner, source, keep=5)
    scored, kept = whole.episodes, whole.predictions
    with torch.no_grad():
        accuracy, nll, called = one_by_one(learner, source, SCORING)
    assert len(set(accuracy)) > 2  # or the test would see little
    assert scored.accuracy.to_numpy() == pytest.approx(accuracy)
    assert scored.nll.to_numpy() == pytest.approx(nll, rel=1e-3, abs=1e-4)
    assert list(scored.episode) == list(range(SCORING.episodes))
    n_queries = SCORING.n_way * SCORING.n_query
    assert list(kept.columns) == ["episode", "query", "predicted"]
    assert list(kept.episode) == list(np.arange(5).repeat(n_queries))
    assert list(kept["query"]) == list(range(n_queries)) * 5
    np.testing.assert_array_equal(kept.predicted, called[:5].ravel())


def test_the_accuracy_of_a_score_is_the_mean_over_its_episodes(source):
    scored = score(make_learner("protonet"), source)
    assert scored.accuracy == scored.episodes.accuracy.mean()


def test_accuracy_and_nll_by_hand(source):
    """Logit 2 on label 0 and 0 elsewhere, for four ways of which each has as many queries."""
    scored = score(Spy(logit=2.0), source).episodes
    total = np.exp(2) + 3
    nll = np.mean([np.log(total) - 2, np.log(total), np.log(total), np.log(total)])
    assert (scored.accuracy == 0.25).all()
    assert scored.nll.to_numpy() == pytest.approx(nll, rel=1e-5)


@pytest.mark.parametrize("copies", [0, 2])
def test_the_digest_names_the_episodes_alone(source, copies):
    scoring = replace(SCORING, support_copies=copies)
    expected = episodes_digest(drawn(source, SCORING))
    assert score(Spy(), source, scoring).digest == expected
    assert score(make_learner("pixels"), source, scoring).digest == expected
    other = replace(scoring, episode_seed=6)
    assert score(Spy(), source, other).digest != expected


@pytest.mark.parametrize("chunk_bytes", [1, 2_000, 35_000_000])
@pytest.mark.parametrize("on_images", [False, True])
def test_chunks_do_not_matter(monkeypatch, chunk_bytes, on_images):
    learner, source = make_learner("protonet"), make_source(noise=90)
    if on_images:
        monkeypatch.setattr("fewshot.harness.evaluate.FeatureLearner", type("Never", (), {}))
    whole = score(learner, source)
    monkeypatch.setattr("fewshot.harness.evaluate.ACTIVATION_BYTES", {"cpu": chunk_bytes})
    parts = score(learner, source)
    assert (parts.episodes.accuracy == whole.episodes.accuracy).all()
    assert parts.episodes.nll.to_numpy() == pytest.approx(whole.episodes.nll, rel=1e-4, abs=1e-5)
    assert (parts.episodes.episode == whole.episodes.episode).all()
    assert parts.digest == whole.digest


@pytest.mark.parametrize("chunk_bytes", [1, 2_000])
@pytest.mark.parametrize("keep", [1, 5, 12, 100])
def test_predictions_are_kept_of_the_first_episodes_however_they_fall_into_chunks(
    monkeypatch, chunk_bytes, keep
):
    learner, source = make_learner("pixels"), make_source(noise=300)
    whole = score(learner, source, keep=SCORING.episodes).predictions
    monkeypatch.setattr("fewshot.harness.evaluate.ACTIVATION_BYTES", {"cpu": chunk_bytes})
    parts = score(learner, source, keep=keep).predictions
    assert parts.equals(whole[whole.episode < keep].reset_index(drop=True))
    assert parts.episode.nunique() == min(keep, SCORING.episodes)
    assert all(np.issubdtype(kind, np.integer) and kind.itemsize <= 4 for kind in parts.dtypes)


def test_keeping_predictions_changes_nothing_else(source):
    learner, columns = make_learner("pixels"), ["episode", "accuracy", "nll"]
    plain, kept = score(learner, source), score(learner, source, keep=3)
    assert plain.predictions is None
    assert plain.episodes[columns].equals(kept.episodes[columns])
    assert plain.digest == kept.digest


def test_small_chunks_hold_one_episode_each(source, monkeypatch):
    monkeypatch.setattr("fewshot.harness.evaluate.ACTIVATION_BYTES", {"cpu": 1})
    spy = Spy()
    score(spy, source)
    assert [len(x) for x, _, _ in spy.adapted] == [1] * SCORING.episodes


@pytest.mark.parametrize("embed_batch", [1, 7])
def test_the_size_of_an_embedding_batch_does_not_matter(source, monkeypatch, embed_batch):
    learner = make_learner("protonet")
    scoring = replace(SCORING, episodes=3)
    whole = score(learner, source, scoring)
    monkeypatch.setattr("fewshot.harness.views.EMBED_BATCH", embed_batch)
    parts = score(learner, source, scoring)
    assert parts.episodes.nll.to_numpy() == pytest.approx(whole.episodes.nll, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("meaningless", ["noise", "shuffled"])
def test_images_that_tell_nothing_give_chance(meaningless):
    """Binomial bounds of four standard deviations around 1/5."""
    source, rng = make_source(n_classes=10, per_class=40), np.random.default_rng(0)
    shape = source.images_IHWC.shape
    images = {
        "noise": rng.integers(0, 256, shape, dtype=np.uint8),
        "shuffled": source.images_IHWC[rng.permutation(len(source.images_IHWC))],
    }[meaningless]
    scoring = Scoring(n_shot=1, n_query=3, episodes=200)
    accuracy = score(make_learner("pixels"), replace(source, images_IHWC=images), scoring).accuracy
    assert abs(accuracy - 0.2) < 4 * (0.2 * 0.8 / (200 * 15)) ** 0.5


def test_easy_images_give_nearly_every_query_right(source):
    scored = score(make_learner("pixels"), source, Scoring(n_query=5, episodes=20))
    assert scored.accuracy > 0.99


@pytest.mark.usefixtures("one_chunk")
def test_a_learner_is_given_support_labels_and_no_query_label(source):
    spy, scoring = Spy(), replace(SCORING, n_shot=3)  # as many labels in support as in query
    score(spy, source, scoring)
    (adapted,), (predicted,) = spy.adapted, spy.predicted
    query_y_TQ = torch.tensor(np.stack([e.query_y_Q for e in drawn(source, scoring)]))
    assert torch.equal(adapted[1], torch.arange(4).repeat_interleave(3).expand(12, -1))
    assert adapted[2] == predicted[0] == 4  # the state is what `adapt` returned
    for tensor in (adapted[0], adapted[1], predicted[1]):
        assert tensor.shape != query_y_TQ.shape or not torch.equal(tensor, query_y_TQ)
    for x in (adapted[0], predicted[1]):
        assert x.shape == (12, 12, 3, IMAGE_SIZE, IMAGE_SIZE)


def test_the_order_of_queries_does_not_tell_their_labels(source):
    """A learner that guesses labels by position, class after class, is right by chance alone."""

    class ByPosition(Spy):
        def predict(self, state, query_x_TQCHW):
            guess_Q = torch.arange(state).repeat_interleave(query_x_TQCHW.shape[1] // state)
            return one_hot(guess_Q, state).float().expand(len(query_x_TQCHW), -1, -1)

    scoring = Scoring(n_query=3, episodes=200)
    accuracy = score(ByPosition(), source, scoring).accuracy
    assert abs(accuracy - 0.2) < 4 * (0.2 * 0.8 / (200 * 15)) ** 0.5


class Oracle(FeatureLearner):
    """Reads the class from the pixels: class c is drawn in the flat grey 20 c."""

    Config, trains_on = NoConfig, "nothing"

    def __init__(self):
        super().__init__(torch.nn.Identity(), NoConfig(), 0)
        self.support_greys, self.query_greys, self.support_y = [], [], []

    def embed(self, x_ICHW):
        return ((x_ICHW[:, 0, 0, :1] * 0.25 + 0.5) * 255).round()

    def loss(self, batch):
        raise NotImplementedError

    def adapt_features(self, support_z_TSD, support_y_TS, n_way):
        self.support_greys.append(support_z_TSD[..., 0])
        self.support_y.append(support_y_TS)
        return support_z_TSD[..., 0] // 20, one_hot(support_y_TS, n_way).float()

    def predict_features(self, state, query_z_TQD):
        self.query_greys.append(query_z_TQD[..., 0])
        classes_TS, labels_TSN = state
        same_TQS = (query_z_TQD // 20) == classes_TS[:, None]
        return same_TQS.float() @ labels_TSN


@pytest.mark.usefixtures("one_chunk")
@pytest.mark.parametrize("copies", [0, 1, 3])
@pytest.mark.parametrize("on_images", [False, True])
def test_copies_of_the_support_keep_their_labels_and_queries_stay_clean(
    source, monkeypatch, copies, on_images
):
    if on_images:
        monkeypatch.setattr("fewshot.harness.evaluate.FeatureLearner", type("Never", (), {}))
    greys_I = (20 * np.arange(8, dtype=np.uint8)).repeat(30)
    grey = np.broadcast_to(greys_I[:, None, None, None], source.images_IHWC.shape).copy()
    oracle, scoring = Oracle(), replace(SCORING, support_copies=copies)
    scored = score(oracle, replace(source, images_IHWC=grey), scoring, lambda x, generator: x + 1)
    assert (scored.episodes.accuracy == 1).all()
    (support,), (queries,), (labels,) = oracle.support_greys, oracle.query_greys, oracle.support_y
    assert support.shape == labels.shape == (12, 4 * 2 * max(1, copies))
    assert (support % 20 == min(copies, 1)).all()  # the augmentation adds 1
    assert (queries % 20 == 0).all()
    for class_greys, y in zip(support, labels, strict=True):
        assert len(set(zip(class_greys.tolist(), y.tolist(), strict=True))) == 4


@pytest.mark.parametrize("on_images", [False, True])
def test_scoring_twice_gives_the_same(source, monkeypatch, on_images):
    if on_images:
        monkeypatch.setattr("fewshot.harness.evaluate.FeatureLearner", type("Never", (), {}))
    learner = make_learner("protonet")
    scoring = replace(SCORING, episodes=4, support_copies=2)
    one, other = (score(learner, source, scoring, AUGMENTS["crop_flip_jitter"]) for _ in range(2))
    columns = ["accuracy", "nll"]
    assert one.episodes[columns].equals(other.episodes[columns])
    assert one.digest == other.digest


@pytest.mark.parametrize("name", list(LEARNERS))
def test_scoring_changes_no_weight_and_no_running_statistic(source, name):
    learner = make_learner(name).train()
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    score(learner, source)
    assert not learner.training
    assert all(torch.equal(v, before[k]) for k, v in learner.state_dict().items())


@pytest.mark.parametrize("on_images", [False, True])
def test_images_of_other_splits_change_nothing(monkeypatch, on_images):
    if on_images:
        monkeypatch.setattr("fewshot.harness.evaluate.FeatureLearner", type("Never", (), {}))
    whole = make_source(n_classes=10)
    source, poisoned = some_classes(whole, [7, 2, 8, 3, 5])
    learner, columns = make_learner("protonet"), ["accuracy", "nll"]
    clean = score(learner, source).episodes
    other = score(learner, replace(source, images_IHWC=poisoned)).episodes
    assert clean[columns].equals(other[columns])


def test_times_are_given_for_each_episode_and_part(source):
    scored = score(make_learner("protonet"), source)
    ms = scored.episodes[["adapt_ms", "predict_ms"]]
    assert (ms > 0).all().all()
    assert scored.embed_s > 0
    assert ms.sum().sum() / 1000 + scored.embed_s < scored.total_s
    assert score(Spy(), source).embed_s == 0
