"""A split as the harness reads it: its indices, and the shapes of episodes that it can serve."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.sources import IMAGE_SIZE, make_source, some_classes

from fewshot.episodes.sampling import EpisodeShape, draw_episode
from fewshot.errors import UserError


def test_the_indices_are_those_of_its_classes_alone():
    whole = make_source(n_classes=4, per_class=3)
    assert whole.indices.tolist() == list(range(12))
    source, _ = some_classes(whole, [3, 1])
    assert source.indices.tolist() == [9, 10, 11, 3, 4, 5]
    assert source.image_size == IMAGE_SIZE


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (EpisodeShape(4, 1, 2), None),
        (EpisodeShape(5, 1, 1), "made: the test split has 4 classes, fewer than 5 ways"),
        (
            EpisodeShape(4, 2, 2),
            "made: class 'class-2' of the test split has 3 images, fewer than 2 support + 2 query",
        ),
    ],
)
def test_a_shape_is_refused_exactly_if_some_episode_of_it_cannot_be_drawn(shape, message):
    source = make_source(n_classes=4, per_class=4)
    source = replace(source, class_sizes=np.array([4, 4, 3, 4]))
    if message is None:
        source.check_shape(shape)
        draw_episode(0, source.split, 0, source.class_sizes, shape)
        return
    with pytest.raises(UserError) as found:
        source.check_shape(shape)
    assert str(found.value) == message
    with pytest.raises(UserError) as drawn:
        draw_episode(0, source.split, 0, source.class_sizes, shape)
    assert str(drawn.value) == message.removeprefix("made: ").replace("'class-2'", "2")
