"""Episodes as functions: golden digests, nesting, independence, uniformity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewshot.episodes.sampling import (
    SPLITS,
    EpisodeShape,
    draw_batch,
    draw_disjoint_episodes,
    draw_episode,
    episodes_digest,
)
from fewshot.errors import UserError

SIZES = np.full(20, 600)
FIVE_WAY = EpisodeShape(n_way=5, n_shot=5, n_query=15)

shapes = st.builds(
    EpisodeShape,
    n_way=st.integers(1, 6),
    n_shot=st.integers(1, 5),
    n_query=st.integers(0, 6),
)
class_sizes = st.lists(st.integers(11, 40), min_size=6, max_size=12)


@pytest.mark.parametrize(
    ("split", "sizes", "shape", "golden"),
    [
        ("test", SIZES, FIVE_WAY, "020b7d5314ee07ec"),
        ("test", SIZES, EpisodeShape(5, 1, 15), "4533f9b484df364a"),
        ("val", np.full(16, 600), FIVE_WAY, "6d417176706fcc9a"),
        ("train", np.arange(64) + 40, EpisodeShape(20, 5, 15), "a68f7f8041fad15d"),
    ],
)
def test_the_first_hundred_episodes_never_change(split, sizes, shape, golden):
    """Every committed result stands on these lists: a change here makes all of them void."""
    episodes = [draw_episode(0, split, i, sizes, shape) for i in range(100)]
    assert episodes_digest(episodes) == golden


def test_the_first_episode_is_written_out():
    episode = draw_episode(0, "test", 0, np.full(20, 600), EpisodeShape(5, 1, 1))
    assert episode.class_ids_N.tolist() == [14, 0, 4, 6, 3]
    assert episode.support_NK.ravel().tolist() == [484, 580, 78, 573, 379]
    assert episode.query_Q.tolist() == [335, 510, 350, 273, 25]
    assert episode.query_y_Q.tolist() == [3, 1, 2, 0, 4]


@given(
    st.integers(0, 2**32),
    st.sampled_from(SPLITS),
    st.integers(0, 10**6),
    class_sizes,
    shapes,
)
def test_an_episode_is_well_formed(seed, split, index, sizes, shape):
    episode = draw_episode(seed, split, index, sizes, shape)
    assert len(set(episode.class_ids_N)) == shape.n_way
    assert episode.support_NK.shape == (shape.n_way, shape.n_shot)
    assert np.bincount(episode.query_y_Q, minlength=shape.n_way).tolist() == (
        [shape.n_query] * shape.n_way
    )
    for label, class_id in enumerate(episode.class_ids_N):
        support = set(episode.support_NK[label])
        query = set(episode.query_Q[episode.query_y_Q == label])
        assert len(support) == shape.n_shot
        assert len(query) == shape.n_query
        assert not support & query
        assert max(support | query) < sizes[class_id]


@given(st.integers(0, 1000), st.integers(0, 1000), class_sizes)
def test_shots_ways_and_queries_nest(seed, index, sizes):
    small = draw_episode(seed, "test", index, sizes, EpisodeShape(3, 1, 4))
    more_shots = draw_episode(seed, "test", index, sizes, EpisodeShape(3, 5, 4))
    assert (small.support_NK == more_shots.support_NK[:, :1]).all()
    assert (small.query_Q == more_shots.query_Q).all()
    assert (small.query_y_Q == more_shots.query_y_Q).all()
    more_ways = draw_episode(seed, "test", index, sizes, EpisodeShape(6, 1, 4))
    assert (small.class_ids_N == more_ways.class_ids_N[:3]).all()
    assert (small.support_NK == more_ways.support_NK[:3]).all()
    more_queries = draw_episode(seed, "test", index, sizes, EpisodeShape(3, 1, 6))
    for label in range(3):
        assert set(small.query_Q[small.query_y_Q == label]) <= set(
            more_queries.query_Q[more_queries.query_y_Q == label]
        )


def test_seed_split_and_index_each_matter_and_nothing_else():
    def drawn(seed, split, index):
        return episodes_digest([draw_episode(seed, split, index, SIZES, FIVE_WAY)])

    digests = {drawn(s, split, i) for s in range(4) for split in SPLITS for i in range(4)}
    assert len(digests) == 4 * 3 * 4
    assert drawn(0, "test", 0) == drawn(0, "test", 0)


def test_classes_and_images_are_drawn_evenly():
    episodes = [draw_episode(3, "test", i, np.full(10, 20), FIVE_WAY) for i in range(2000)]
    classes = np.bincount(np.concatenate([e.class_ids_N for e in episodes]), minlength=10)
    images = np.bincount(np.concatenate([e.support_NK.ravel() for e in episodes]), minlength=20)
    # Bounds at five standard deviations of the binomial: a fair sampler fails once in 100,000.
    assert np.abs(classes - 1000).max() < 5 * np.sqrt(1000 * 0.5)
    assert np.abs(images - 2500).max() < 5 * np.sqrt(2500 * 0.75)


def test_query_order_tells_no_label():
    labels = np.stack([draw_episode(0, "val", i, SIZES, FIVE_WAY).query_y_Q for i in range(2000)])
    counts = np.stack([np.bincount(labels[:, q], minlength=5) for q in range(labels.shape[1])])
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400 * 0.8)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [([600] * 4, "fewer than 5 ways"), ([600] * 4 + [19], "19 images")],
)
def test_impossible_episodes_are_refused(sizes, message):
    with pytest.raises(UserError, match=message):
        draw_episode(0, "test", 0, sizes, FIVE_WAY)


@given(st.integers(0, 1000), st.lists(st.integers(0, 60), min_size=3, max_size=12), shapes)
def test_disjoint_episodes_are_well_formed_and_share_no_image(seed, sizes, shape):
    episodes = draw_disjoint_episodes(seed, "test", sizes, shape)
    used = set()
    for episode in episodes:
        assert len(set(episode.class_ids_N)) == shape.n_way
        assert episode.support_NK.shape == (shape.n_way, shape.n_shot)
        assert np.bincount(episode.query_y_Q, minlength=shape.n_way).tolist() == (
            [shape.n_query] * shape.n_way
        )
        query_classes = episode.class_ids_N[episode.query_y_Q]
        images = list(zip(query_classes.tolist(), episode.query_Q.tolist(), strict=True))
        for class_id, support in zip(episode.class_ids_N, episode.support_NK, strict=True):
            images += [(int(class_id), int(image)) for image in support]
        assert all(0 <= image < sizes[class_id] for class_id, image in images)
        assert len(set(images)) == len(images)
        assert not used & set(images)
        used |= set(images)
    # They end only where too few classes are left with images enough.
    per_class = shape.n_shot + shape.n_query
    taken = np.bincount([class_id for class_id, _ in used], minlength=len(sizes))
    assert np.count_nonzero(np.array(sizes) - taken >= per_class) < shape.n_way


def test_disjoint_episodes_are_pure_and_use_every_image_that_they_can():
    def digest(seed, split="test", shape=FIVE_WAY):
        return episodes_digest(draw_disjoint_episodes(seed, split, SIZES, shape))

    assert digest(0) == digest(0) == "173cb84540b157be"
    assert len({digest(0), digest(1), digest(0, "val")}) == 3
    assert len(draw_disjoint_episodes(0, "test", SIZES, FIVE_WAY)) == 20 * 600 // 100


@given(st.integers(0, 99), st.integers(1, 60), st.integers(1, 70))
def test_a_pass_of_batches_sees_each_image_at_most_once(seed, n_images, batch_size):
    steps = n_images // min(batch_size, n_images)
    first = np.concatenate([draw_batch(seed, s, n_images, batch_size) for s in range(steps)])
    assert len(set(first)) == len(first) > n_images - min(batch_size, n_images)


def test_passes_differ_and_batches_are_pure():
    first, again = draw_batch(0, 0, 100, 10), draw_batch(0, 0, 100, 10)
    assert (first == again).all()
    assert (first != draw_batch(0, 10, 100, 10)).any()
    assert (first != draw_batch(1, 0, 100, 10)).any()
