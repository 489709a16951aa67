"""What every learner claims, checked over every learner and backbone by `fewshot check`'s code."""

from dataclasses import replace

import pytest
from helpers.learners import BACKBONES, LEARNERS, small_learner
from helpers.sources import make_source

from fewshot.episodes.augment import AUGMENTS
from fewshot.harness.evaluate import evaluate
from fewshot.harness.recipe import Scoring
from fewshot.protocols import FeatureLearner
from fewshot.runner.conformance.outcomes import CHECKS, run_checks
from fewshot.runner.conformance.subject import make_subject

LEARNING = ("above chance", "chance on shuffled labels")
QUICK = [name for name in CHECKS if name not in LEARNING]
# Their inner loops take ten seconds and more where others take one.
INNER_LOOPS = ("maml", "fomaml", "imaml")
every_learner = pytest.mark.parametrize("name", list(LEARNERS))


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        slow(name, backbone) if backbone == "resnet12" or name in INNER_LOOPS else (name, backbone)
        for name in LEARNERS
        for backbone in BACKBONES
    ],
)
@pytest.mark.filterwarnings("ignore:iMAML")  # of no matter here whether it converges
def test_a_learner_keeps_its_contract(name, backbone):
    outcomes = run_checks(make_subject(name, backbone), QUICK)
    assert [(o.name, o.message) for o in outcomes if o.verdict == "failed"] == []
    passed = {o.name for o in outcomes if o.verdict == "passed"}
    assert {"shapes and numbers", "inductive as declared", "episodes are apart"} <= passed


@pytest.mark.parametrize("name", [slow(n) if n in INNER_LOOPS else n for n in LEARNERS])
@pytest.mark.filterwarnings("ignore:iMAML")
def test_a_learner_learns_and_learns_from_labels_alone(name):
    outcomes = run_checks(make_subject(name, "conv4"), LEARNING)
    assert [(o.name, o.message) for o in outcomes if o.verdict != "passed"] == []


@every_learner
def test_features_and_images_give_the_same_scores(name, cpu, monkeypatch):
    learner = small_learner(name, 8).eval()
    if not isinstance(learner, FeatureLearner):
        pytest.skip("its backbone is adapted at test")
    source, scoring = make_source("test"), Scoring(n_shot=2, n_query=4, episodes=12)
    from_table = evaluate(learner, source, scoring, AUGMENTS["none"], cpu)
    monkeypatch.setattr("fewshot.harness.evaluate.FeatureLearner", type("Never", (), {}))
    from_images = evaluate(learner, source, scoring, AUGMENTS["none"], cpu)
    assert (from_table.episodes.accuracy == from_images.episodes.accuracy).all()
    assert abs(from_table.episodes.nll - from_images.episodes.nll).max() < 1e-4
    assert from_table.digest == from_images.digest


@pytest.mark.parametrize("name", ["pixels", "protonet"])
def test_support_copies_of_the_identity_change_nothing_but_weight(name, cpu):
    """Copies made by the identity are duplicates: centroids stay, so accuracies must too.

    A regularised head weighs duplicates differently.
    """
    learner, source = small_learner(name, 8).eval(), make_source()
    scoring = Scoring(n_shot=2, n_query=4, episodes=12)
    clean = evaluate(learner, source, scoring, AUGMENTS["none"], cpu)
    copied = evaluate(learner, source, replace(scoring, support_copies=3), AUGMENTS["none"], cpu)
    assert (clean.episodes.accuracy == copied.episodes.accuracy).all()
