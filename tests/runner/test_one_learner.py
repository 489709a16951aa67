"""One learner from Python: trained, scored, and asked about one's own images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.tiny import BENCHMARK, write_near, write_tiny

import fewshot
from fewshot.statistics.intervals import mean_ci95


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder beside a benchmark file and images of `tiny`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_DATA", str(write_tiny(tmp_path / "data")))
    (tmp_path / "cifar_fs.toml").write_text(BENCHMARK)
    return tmp_path


class Colours(torch.nn.Module):
    """The mean colour of an image, as features."""

    def forward(self, x_ICHW):
        return x_ICHW.mean((2, 3))


SCORING = fewshot.Scoring(n_way=3, n_shot=5, n_query=4, episodes=50)


def test_a_frozen_network_is_scored_under_a_learner(folder):
    source = fewshot.open_split("tiny", "test")
    found = {
        name: fewshot.evaluate(Colours(), source, SCORING, learner=name)
        for name in ("protonet", "transfer")
    }
    assert len({score.digest for score in found.values()}) == 1  # the same episodes
    for score in found.values():
        assert score.accuracy > 0.8  # tiny's classes are colours
        assert score.interval == mean_ci95(score.episodes.accuracy.to_numpy())
    with pytest.raises(fewshot.UserError, match="maml adapts its backbone"):
        fewshot.evaluate(Colours(), source, SCORING, learner="maml")


def test_a_trained_learner_is_scored_as_its_data_set_was_scaled(folder):
    write_near(folder / "data")
    recipe = fewshot.Recipe(steps=2, n_way=3, n_shot=1, n_query=2, validations=0, select="last")
    options = {"filters": 4}
    trained = fewshot.train("protonet", "tiny", recipe, backbone_options=options, say=print)
    assert trained.training.spent.steps == 2
    near = fewshot.open_split("near", "test")
    score = fewshot.evaluate(trained, near, SCORING)
    assert fewshot.evaluate(trained.learner, near, SCORING).accuracy == score.accuracy
    other = replace(near, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    assert fewshot.evaluate(trained, other, SCORING).accuracy == score.accuracy


def test_a_learner_tells_classes_apart_by_any_labels(folder):
    recipe = fewshot.Recipe(steps=1, n_way=3, n_shot=1, n_query=2, validations=0, select="last")
    with pytest.raises(fewshot.UserError, match="pixels is not trained"):
        fewshot.train("pixels", "tiny", recipe)
    trained = fewshot.train("protonet", "tiny", recipe, backbone_options={"filters": 4})
    dark, light = (np.full((2, 16, 16, 3), value, np.uint8) for value in (20, 220))
    labels = ["light", ("dark", 1), "light", ("dark", 1)]
    support = np.stack([light[0], dark[0], light[1], dark[1]])
    query = np.concatenate([dark, light, dark])
    found = fewshot.predict(trained, support, labels, query)
    assert found.labels == [("dark", 1)] * 2 + ["light"] * 2 + [("dark", 1)] * 2
    assert found.classes == ["light", ("dark", 1)]
    assert found.probabilities_QN.shape == (6, 2)
    assert found.probabilities_QN.sum(1) == pytest.approx(1)
    for wrong, words in (
        ((support[:, :8], labels, query), "uint8 of shape"),
        ((support / 255, labels, query), "uint8 of shape"),
        ((support, labels[:3], query), "3 labels for 4 support images"),
    ):
        with pytest.raises(fewshot.UserError, match=words):
            fewshot.predict(trained, *wrong)


def test_a_head_of_fixed_size_is_asked_for_as_many_classes(folder):
    recipe = fewshot.Recipe(steps=1, n_way=3, n_shot=1, n_query=2, validations=0, select="last")
    options = {"options": {"n_way": 3}, "backbone_options": {"filters": 4}}
    trained = fewshot.train("maml", "tiny", recipe, **options)
    images_IHWC = np.zeros((2, 16, 16, 3), np.uint8)
    with pytest.raises(fewshot.UserError, match="2 classes, but the learner's head is for 3"):
        fewshot.predict(trained, images_IHWC, [0, 1], images_IHWC)
    assert len(fewshot.predict(trained, images_IHWC[[0, 0, 1]], "abc", images_IHWC).labels) == 2


RECIPE = fewshot.Recipe(steps=2, n_way=3, n_shot=1, n_query=2, validations=0, select="last")


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"optimizer": "Adam"}, {}, "recipe.optimizer: Input should be 'sgd'"),
        ({"schedule": "zz"}, {}, "recipe.schedule: Input should be"),
        ({"select": "Last"}, {}, "recipe.select: Input should be"),
        ({"augment": "zz"}, {}, "recipe.augment: Input should be"),
        ({"batch_size": 0}, {}, "recipe.batch_size: Input should be greater than 0"),
        ({"lr": -1}, {}, "recipe.lr: Input should be greater than 0"),
        ({"steps": 2.5}, {}, "recipe.steps: Input should be a valid integer"),
        ({"steps": None}, {}, "the recipe has no budget"),
        ({"n_way": 99}, {}, "the train split has .* fewer than 99 ways"),
        ({"precision": "tf32"}, {}, "precision 'tf32' needs a GPU"),
        ({}, {"scales": 1}, "unknown key 'scales'"),
        ({}, {"scale": "much"}, "learner_options.scale: Input should be a valid number"),
    ],
)
def test_a_recipe_is_checked_as_in_a_benchmark_file(folder, changed, options, message):
    recipe = replace(RECIPE, **changed)
    with pytest.raises(fewshot.UserError, match=message):
        fewshot.train("protonet", "tiny", recipe, options=options, device="cpu")


def test_global_random_streams_are_left_alone(folder):
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    fewshot.evaluate(Colours(), fewshot.open_split("tiny", "test"), SCORING, learner="transfer")
    fewshot.train("protonet", "tiny", RECIPE, backbone_options={"filters": 4})
    assert torch.rand(1) == wanted


@pytest.mark.parametrize(
    "network",
    [
        torch.nn.Flatten(0),  # one number a pixel, of no image
        torch.nn.Identity().double,  # no module
        torch.nn.Linear(3, 4),  # of images of another size
        torch.nn.Conv2d(3, 4, 1).double(),
        torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(0), torch.nn.Flatten()),  # no features
    ],
)
def test_a_network_that_gives_no_features_is_refused(folder, network):
    with pytest.raises(fewshot.UserError, match="expected a network that maps float32 images"):
        fewshot.evaluate(network, fewshot.open_split("tiny", "test"), SCORING)


def test_labels_and_images_that_cannot_be_used_are_refused(folder):
    trained = fewshot.train("protonet", "tiny", RECIPE, backbone_options={"filters": 4})
    source = fewshot.open_split("tiny", "test")
    images = source.images_IHWC[source.indices[:6]]
    labels = [0, 0, 0, 1, 1, 1]
    found = [
        fewshot.predict(trained, images, given, images)
        for given in (labels, np.array(labels), torch.tensor(labels))
    ]
    assert {tuple(answer.classes) for answer in found} == {(0, 1)}
    assert len({answer.probabilities_QN.tobytes() for answer in found}) == 1
    as_list = fewshot.predict(trained, list(images), labels, torch.from_numpy(images.copy()))
    assert (as_list.probabilities_QN == found[0].probabilities_QN).all()
    flipped = images[:, :, ::-1]  # a view with negative strides
    mirrored = fewshot.predict(trained, flipped, labels, flipped)
    copied = fewshot.predict(trained, flipped.copy(), labels, flipped.copy())
    assert (mirrored.probabilities_QN == copied.probabilities_QN).all()
    for wrong in ([[0]] * 6, [float("nan")] * 6, [0] * 6):
        with pytest.raises(fewshot.UserError, match="label"):
            fewshot.predict(trained, images, wrong, images)
    with pytest.raises(fewshot.UserError, match="labels must be those of two classes"):
        fewshot.predict(trained, images[:0], [], images)
