"""A training that is interrupted goes on as if nothing had happened, or begins anew."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.sources import make_source
from helpers.trainings import SMALL, Script, Slow, Toy, make_learner, same_weights, trained_learners

from fewshot.episodes.augment import AUGMENTS
from fewshot.harness.checkpoint import TrainingCheckpoint
from fewshot.harness.recipe import Recipe
from fewshot.harness.train import Trained, train
from fewshot.protocols import Learner

CPU = torch.device("cpu")
OF = {"fingerprint": "made", "learner_digest": None, "host": {"cores": 2}}
# iMAML: conjugate gradients need not converge for what these tests look at.
pytestmark = pytest.mark.filterwarnings("ignore:iMAML")


@pytest.fixture
def source():
    return make_source("train", n_classes=6, per_class=12)


@pytest.fixture
def journal(tmp_path):
    """Of one file, with a note after every step."""
    return lambda **of: TrainingCheckpoint(tmp_path / "journal", {**OF, **of}, every_s=0)


def interrupted_at(step):
    """An augmentation that is the suite's until then."""
    calls = 0

    def augment(x_IHWC, generator):
        nonlocal calls
        calls += 1
        if calls == step:
            raise KeyboardInterrupt
        return AUGMENTS["crop_flip"](x_IHWC, generator)

    return augment


def whole(learner: Learner, source, recipe: Recipe, validate=None) -> Trained:
    return train(learner, source, AUGMENTS["crop_flip"], validate or Script(), recipe, 0, CPU)


def interrupt(
    learner: Learner, source, recipe: Recipe, journal: TrainingCheckpoint, step, validate=None
):
    """Train until this step begins."""
    validate, say = validate or Script(), lambda line: None
    with pytest.raises(KeyboardInterrupt):
        train(learner, source, interrupted_at(step), validate, recipe, 0, CPU, say, journal=journal)


def go_on(
    learner: Learner, source, recipe: Recipe, journal: TrainingCheckpoint, validate=None, say=print
):
    """Train with what an earlier run noted; the global stream is wherever it may be."""
    torch.manual_seed(99)
    augment, validate = AUGMENTS["crop_flip"], validate or Script()
    return train(learner, source, augment, validate, recipe, 0, CPU, say, journal=journal)


@trained_learners
def test_every_learner_ends_with_the_weights_of_a_training_without_interrupt(source, journal, name):
    recipe = replace(SMALL, steps=3)
    one, broken, resumed = (make_learner(name) for _ in range(3))
    expected = whole(one, source, recipe)
    interrupt(broken, source, recipe, journal(), step=3)
    spent = go_on(resumed, source, recipe, journal()).spent
    assert same_weights(resumed, one)
    assert (spent.steps, spent.images, spent.resumed) == (3, expected.spent.images, 1)
    assert expected.spent.resumed == 0


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "radam", "muon"])
def test_every_optimizer_remembers(source, journal, optimizer):
    recipe = replace(SMALL, steps=8, optimizer=optimizer, weight_decay=0.01)
    one, broken, resumed = (make_learner("transfer") for _ in range(3))
    whole(one, source, recipe)
    interrupt(broken, source, recipe, journal(), step=6)
    lines = []
    go_on(resumed, source, recipe, journal(), say=lines.append)
    assert same_weights(resumed, one)
    assert lines[0] == "    goes on from step 5, 40 images"


def test_the_second_interrupt_costs_no_more_than_the_first(source, journal):
    one, two, three, resumed = (make_learner("transfer") for _ in range(4))
    whole(one, source, SMALL)
    interrupt(two, source, SMALL, journal(), step=4)
    interrupt(three, source, SMALL, journal(), step=4)  # 3 steps later: the 7th
    spent = go_on(resumed, source, SMALL, journal()).spent
    assert same_weights(resumed, one)
    assert (spent.steps, spent.images, spent.resumed) == (10, 80, 2)


class Drops(Toy):
    """A toy that draws from torch's own stream, as dropout does."""

    def loss(self, batch):
        return super().loss(batch) * torch.rand(())


def test_dropout_draws_what_it_would_have_drawn(source, journal):
    one, broken, resumed = Drops(), Drops(), Drops()
    torch.manual_seed(0)
    whole(one, source, SMALL)
    torch.manual_seed(0)
    interrupt(broken, source, SMALL, journal(), step=5)
    go_on(resumed, source, SMALL, journal())
    assert resumed.weight.item() == one.weight.item()


@pytest.mark.parametrize(
    ("accuracies", "best"), [((0.9, 0.5, 0.6, 0.7), 2), ((0.5, 0.6, 0.7, 0.9), 8)]
)
def test_the_best_validation_is_remembered_with_its_weights(source, journal, accuracies, best):
    recipe = replace(SMALL, steps=8, validations=4, select="best")
    one, broken, resumed = (make_learner("transfer") for _ in range(3))
    expected = whole(one, source, recipe, Script(*accuracies))
    interrupt(broken, source, recipe, journal(), 6, Script(*accuracies[:2]))
    trained = go_on(resumed, source, recipe, journal(), Script(*accuracies[2:]))
    assert trained.selected_step == expected.selected_step == best
    assert same_weights(resumed, one)
    told = [(p.step, p.images, p.loss, p.lr, p.val_accuracy) for p in trained.curve]
    assert told == [(p.step, p.images, p.loss, p.lr, p.val_accuracy) for p in expected.curve]


def test_times_of_both_runs_are_added_and_each_warms_up(source, journal, time):
    """Steps of half a second; the first of a process takes 32."""
    interrupt(Slow(time), source, SMALL, journal(), step=6)
    time.now += 1000  # between the runs
    spent = go_on(Slow(time), source, SMALL, journal()).spent
    assert (spent.train_s, spent.warmup_s) == (4.0, 64.0)
    assert spent.seconds["forward"] == 4.0


def test_what_is_done_after_the_last_note_is_done_again(source, tmp_path, monkeypatch):
    """Notes at least ten seconds apart, in steps of one second."""
    now = 0.0
    monkeypatch.setattr("fewshot.harness.checkpoint.time", SimpleNamespace(monotonic=lambda: now))

    class Second(Toy):
        def loss(self, batch):
            nonlocal now
            now += 1
            return super().loss(batch)

    recipe = replace(SMALL, steps=30)
    interrupt(
        Second(), source, recipe, TrainingCheckpoint(tmp_path / "journal", OF, every_s=10), step=20
    )
    lines = []
    resumed = Second()
    go_on(
        resumed, source, recipe, TrainingCheckpoint(tmp_path / "journal", OF, 10), say=lines.append
    )
    assert lines[0] == "    goes on from step 10, 80 images"
    assert len(resumed.weights) == 20


@pytest.mark.parametrize(
    "other",
    [{"fingerprint": "other images"}, {"host": {"cores": 4}}, {"learner_digest": "changed"}],
)
def test_a_note_of_something_else_is_not_gone_on_from(source, journal, other):
    one, broken, anew = (make_learner("transfer") for _ in range(3))
    whole(one, source, SMALL)
    interrupt(broken, source, SMALL, journal(), step=6)
    spent = go_on(anew, source, SMALL, journal(**other)).spent
    assert (spent.steps, spent.resumed) == (10, 0)
    assert same_weights(anew, one)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"{}" * 99]
)
def test_a_damaged_note_is_none(source, journal, tmp_path, damage):
    interrupt(Toy(), source, SMALL, journal(), step=6)
    file = tmp_path / "journal"
    assert journal().read() is not None
    file.write_bytes(damage(file.read_bytes()))
    assert journal().read() is None
    assert go_on(Toy(), source, SMALL, journal()).spent.resumed == 0


def parts(step):
    """The parts of a training at this step."""
    return {"counts": SimpleNamespace(state_dict=lambda: step)}


def test_a_note_that_cannot_be_finished_leaves_the_last_one(journal, monkeypatch):
    journal().save(parts(step=1))

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("fewshot.harness.checkpoint.torch.save", full)
    with pytest.raises(OSError, match="no space"):
        journal().save(parts(step=2))
    assert journal().read() == {"counts": 1}


def test_a_forgotten_note_is_gone(journal):
    journal().save(parts(step=1))
    journal().forget()
    journal().forget()
    assert journal().read() is None
