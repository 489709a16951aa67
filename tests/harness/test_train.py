"""The outer loop: budgets, schedule, validation and selection; nothing but the training rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.learners import LEARNERS
from helpers.sources import make_source, some_classes
from helpers.trainings import (
    SMALL,
    Script,
    Slow,
    Toy,
    make_learner,
    run,
    same_weights,
    trained_learners,
)

from fewshot.episodes.augment import AUGMENTS
from fewshot.episodes.tensors import Images
from fewshot.harness.evaluate import evaluate
from fewshot.harness.recipe import Scoring
from fewshot.harness.selection import DivergedError, plain_curve

CPU = torch.device("cpu")
# iMAML: conjugate gradients need not converge for what these tests look at.
pytestmark = pytest.mark.filterwarnings("ignore:iMAML")


@pytest.fixture
def train_source():
    return make_source("train", n_classes=6, per_class=12)


@pytest.mark.parametrize("steps", [1, 7])
def test_a_budget_of_steps_is_kept_exactly(train_source, steps):
    toy = Toy()
    spent = run(toy, train_source, replace(SMALL, steps=steps)).spent
    assert spent.steps == len(toy.weights) == steps
    assert spent.images == 8 * steps


@pytest.mark.parametrize(("images", "steps"), [(24, 3), (25, 4), (1, 1)])
def test_a_budget_of_images_ends_with_the_batch_that_reaches_it(train_source, images, steps):
    spent = run(Toy(), train_source, replace(SMALL, steps=None, images=images)).spent
    assert (spent.steps, spent.images) == (steps, 8 * steps)


def test_images_of_episodes_count_support_and_query(train_source):
    recipe = replace(SMALL, steps=None, images=36, episodes_per_step=2)
    spent = run(Toy("episodes"), train_source, recipe).spent
    assert (spent.steps, spent.images) == (2, 2 * 2 * 3 * (1 + 2))


def test_time_to_validate_is_not_time_to_train(train_source, time):
    def think():
        time.now += 1000

    recipe = replace(SMALL, steps=None, seconds=4.0, validations=4)
    trained = run(Slow(time), train_source, recipe, Script(then=think))
    assert (trained.spent.steps, trained.spent.train_s) == (9, 4.0)
    assert trained.spent.validate_s == 4000
    assert [point.seconds for point in trained.curve] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("kind", ["images", "episodes"])
def test_images_grow_over_the_budget(train_source, kind):
    edges = []

    class Seeing(Toy):
        def loss(self, batch):
            x = batch.x_ICHW if kind == "images" else batch.x_TMCHW
            edges.append(tuple(x.shape[-2:]))
            return super().loss(batch)

    recipe = replace(SMALL, steps=10, image_sizes=((0.2, 8), (0.5, 12)))
    run(Seeing(kind), train_source, recipe)
    assert edges == 2 * [(8, 8)] + 3 * [(12, 12)] + 5 * [(16, 16)]


def test_validation_by_seconds_has_one_cadence_and_sees_the_end(train_source, time):
    recipe = replace(SMALL, steps=None, seconds=4.0, validations=0, validate_every_s=1.5)
    curve = run(Slow(time), train_source, recipe).curve
    assert [point.seconds for point in curve] == [1.5, 3.0, 4.0]


def test_validation_that_takes_more_than_a_fifth_of_the_training_is_said(train_source, time):
    def said(seconds):
        def think():
            time.now += seconds

        lines = []
        recipe = replace(SMALL, steps=None, seconds=4.0, validations=0, validate_every_s=2)
        run(Slow(time), train_source, recipe, Script(then=think), say=lines.append)
        return any("validation took" in line for line in lines)

    assert said(0.5)
    assert not said(0.25)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "radam", "muon"])
def test_every_optimizer_descends(train_source, optimizer):
    toy = Toy()
    run(toy, train_source, replace(SMALL, optimizer=optimizer, schedule="constant"))
    assert 0 < toy.weight.item() < 1.5
    assert (toy.weight.item() - 1) ** 2 < 1


@pytest.mark.parametrize(
    ("steps", "validations", "expected"),
    [
        (20, 4, [5, 10, 15, 20]),
        (7, 3, [3, 5, 7]),
        (10, 10, list(range(1, 11))),
        (6, 1, [6]),
        (6, 0, []),
        (49, 49, list(range(1, 50))),
    ],
)
def test_validations_are_as_many_as_asked_evenly_spread_and_last_at_the_end(
    train_source, steps, validations, expected
):
    script = Script()
    recipe = replace(SMALL, steps=steps, validations=validations)
    curve = run(Toy(), train_source, recipe, script).curve
    assert [point.step for point in curve] == expected
    assert len(script.seen) == validations


def test_each_validation_is_told_and_stands_in_the_curve(train_source):
    lines = []
    recipe = replace(SMALL, validations=2)
    trained = run(Toy(), train_source, recipe, Script(0.25, 0.75), say=lines.append)
    rows = plain_curve(trained.curve)
    assert [(row["step"], row["images"], row["val_accuracy"]) for row in rows] == [
        (5, 40, 0.25),
        (10, 80, 0.75),
    ]
    assert len(lines) == 2
    assert "25.00 %" in lines[0]
    assert "75.00 %" in lines[1]


@pytest.mark.parametrize(
    ("accuracies", "best"), [((0.3, 0.9, 0.5), 1), ((0.3, 0.4, 0.5), 2), ((0.7, 0.7, 0.1), 0)]
)
def test_select_best_keeps_the_first_best_weights(train_source, accuracies, best):
    toy, script = Toy(), Script(*accuracies)
    recipe = replace(SMALL, steps=9, validations=3, select="best")
    trained = run(toy, train_source, recipe, script)
    assert len({seen["weight"].item() for seen in script.seen}) == 3
    assert torch.equal(toy.weight, script.seen[best]["weight"])
    assert trained.selected_step == (3, 6, 9)[best]


def test_select_best_keeps_running_statistics_too(train_source):
    learner, script = make_learner("transfer"), Script(0.9, 0.1)
    recipe = replace(SMALL, steps=4, validations=2, select="best")
    run(learner, train_source, recipe, script)
    state = learner.state_dict()
    assert all(torch.equal(state[k], v) for k, v in script.seen[0].items())
    assert not torch.equal(
        script.seen[0]["backbone.blocks.0.norm.running_mean"],
        script.seen[1]["backbone.blocks.0.norm.running_mean"],
    )


def test_select_last_keeps_the_last_weights(train_source):
    toy, script = Toy(), Script(0.9, 0.1)
    trained = run(toy, train_source, replace(SMALL, validations=2), script)
    assert torch.equal(toy.weight, script.seen[1]["weight"])
    assert trained.selected_step == 10


def test_training_steps_are_in_training_mode_and_what_comes_out_is_not(train_source):
    toy = Toy().eval()
    run(toy, train_source, replace(SMALL, validations=5))
    assert toy.modes == [True] * 10
    assert not toy.training


@pytest.mark.parametrize("validations", [10, 2])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e9])
def test_a_loss_that_diverges_ends_training_with_the_step_and_the_last_good_weights(
    train_source, validations, value
):
    toy, script = Toy(losses={7: value}), Script()
    with pytest.raises(DivergedError, match=r"\bby step 7\b") as caught:
        run(toy, train_source, replace(SMALL, validations=validations), script)
    good_step = {10: 6, 2: 5}[validations]  # the last validation
    assert (caught.value.step, caught.value.good_step) == (7, good_step)
    assert [point.step for point in caught.value.curve][-1] == good_step
    assert torch.equal(caught.value.weights["weight"], script.seen[-1]["weight"])


def test_divergence_before_any_validation_gives_the_first_weights_back(train_source):
    toy = Toy(losses={2: float("nan")})
    first = toy.weight.detach().clone()
    with pytest.raises(DivergedError, match="the last good weights are those of step 0") as caught:
        run(toy, train_source, replace(SMALL, validations=1))
    assert torch.equal(caught.value.weights["weight"], first)


def coloured_source(split, n_classes):
    """Classes that differ in colour: what is learned on some tells others apart too."""
    source, rng = make_source(split, n_classes, per_class=20), np.random.default_rng(len(split))
    shape = source.images_IHWC.shape
    colours = rng.uniform(60, 190, (n_classes, 1, 1, 3)).repeat(20, axis=0)
    pixels = colours + 60 * rng.standard_normal(shape)
    return replace(source, images_IHWC=np.clip(pixels, 0, 255).astype(np.uint8))


@trained_learners
def test_the_loss_goes_down_and_new_classes_are_told_apart(name):
    learner, val = make_learner(name, filters=8), coloured_source("val", 8)
    scoring = Scoring(SMALL.n_way, n_shot=2, n_query=4, episodes=20)
    recipe = replace(SMALL, steps=20, validations=20, batch_size=16, n_shot=2, n_query=3)
    recipe = replace(recipe, lr=0.1, warmup=0.1, augment="none")
    if LEARNERS[name].label_tied:  # their gradients are small where the inner loop does much
        recipe = replace(recipe, optimizer="adam", lr=0.01, weight_decay=0)
    untrained = evaluate(learner, val, scoring, AUGMENTS["none"], CPU).accuracy
    losses = [point.loss for point in run(learner, coloured_source("train", 6), recipe).curve]
    trained = evaluate(learner, val, scoring, AUGMENTS["none"], CPU).accuracy
    assert np.mean(losses[-6:]) < 0.97 * np.mean(losses[:6])
    assert trained > min(max(untrained + 0.1, 0.5), 0.95)


@trained_learners
def test_the_seed_decides_the_weights(train_source, name):
    recipe = replace(SMALL, steps=2)
    one, same, other = (make_learner(name) for _ in range(3))
    for learner, seed in ((one, 0), (same, 0), (other, 1)):
        torch.rand(1)  # the global stream plays no part
        run(learner, train_source, recipe, seed=seed)
    assert same_weights(one, same)
    assert not same_weights(one, other)


@trained_learners
@pytest.mark.parametrize("validations", [0, 2])
def test_validating_does_not_move_the_weights(train_source, name, validations):
    recipe = replace(SMALL, steps=2, validations=validations)
    learner, plain = make_learner(name), make_learner(name)
    run(learner, train_source, recipe)
    run(plain, train_source, replace(recipe, validations=1))
    assert same_weights(learner, plain)


@trained_learners
def test_images_of_other_splits_are_neither_read_nor_felt(name, monkeypatch):
    whole = make_source("train", n_classes=10, per_class=12)
    source, poisoned = some_classes(whole, [7, 2, 8, 3, 5, 0])
    read, pixels = set(), Images.pixels

    def spied(self, rows):
        read.update(np.ravel(rows).tolist())
        return pixels(self, rows)

    monkeypatch.setattr(Images, "pixels", spied)
    learner, other = make_learner(name), make_learner(name)
    run(learner, source, SMALL)
    run(other, replace(source, images_IHWC=poisoned), SMALL)
    assert read
    assert read <= set(source.indices.tolist())
    assert same_weights(learner, other)


@trained_learners
def test_labels_are_those_of_the_images(name, monkeypatch):
    """Every image is of the flat grey 20 c of its class c of the split."""
    source = make_source("train", n_classes=6, per_class=12)
    greys = (20 * np.arange(6, dtype=np.uint8)).repeat(12)[:, None, None, None]
    flat = np.broadcast_to(greys, source.images_IHWC.shape).copy()
    learner = make_learner(name)
    batches, loss = [], learner.loss

    def spied(batch):
        batches.append(batch)
        return loss(batch)

    monkeypatch.setattr(learner, "loss", spied)
    recipe = replace(SMALL, steps=3, augment="none", episodes_per_step=2)
    run(learner, replace(source, images_IHWC=flat), recipe)
    for batch in batches:
        x, labels = batch[:2]
        if learner.trains_on == "episodes":
            labels = batch.class_ids_TN.gather(1, batch.y_TM)
        classes = ((x[..., 0, 0, 0] * 0.25 + 0.5) * 255 / 20).round().long()
        assert torch.equal(classes, labels)
