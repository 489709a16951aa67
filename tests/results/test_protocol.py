"""Protocols: which differences keep two scores from being compared."""

from dataclasses import replace

import pytest

from fewshot.results.protocol import PROTOCOL, differing_keys, protocol_words, unlike
from fewshot.results.records import Protocol

ONE = Protocol(
    transductive=False,
    batch_norm="running",
    support_copies=0,
    training_classes="train",
    selection="best",
    pretraining=None,
    precision="fp32",
    views=1,
    n_query=15,
    images=1000,
)
OTHER = {
    "transductive": True,
    "batch_norm": "query",
    "support_copies": 2,
    "training_classes": "train of tiny",
    "selection": "last",
    "pretraining": "imagenet",
    "precision": "bf16",
    "views": 2,
    "n_query": 5,
}


@pytest.mark.parametrize("key", PROTOCOL)
def test_every_field_counts_between_trained_learners(key):
    other = replace(ONE, **{key: OTHER[key]})
    (words,) = unlike(ONE, other)
    assert words.startswith(f"{PROTOCOL[key]} ")
    assert differing_keys([ONE, other, ONE]) == [key]
    assert unlike(ONE, ONE) == differing_keys([ONE, ONE]) == []


@pytest.mark.parametrize("key", PROTOCOL)
def test_only_the_scoring_counts_beside_a_learner_without_a_training(key):
    floor = replace(ONE, images=0, **{key: OTHER[key]})
    assert bool(unlike(ONE, floor)) == (key in ("transductive", "support_copies", "n_query"))
    assert bool(unlike(floor, ONE)) == bool(unlike(ONE, floor))


@pytest.mark.parametrize(("images", "alike"), [(4000, True), (4001, False), (250, True)])
def test_trainings_may_see_four_times_the_images_of_each_other(images, alike):
    other = replace(ONE, images=images)
    for pair in ((ONE, other), (other, ONE)):
        assert (unlike(*pair) == []) == alike


def test_values_are_told_in_words():
    words = protocol_words(ONE, ("transductive", "pretraining", "views"))
    assert words == "transductive no, pre-training none, views of an image 1"
