"""A training's learner is built from its seed, or refused."""

import pytest
import torch
from helpers.learners import classes_of
from helpers.runs import CPU, MAML, check

from fewshot.errors import UserError
from fewshot.runner import workspace
from fewshot.runner.build import build_learner


def test_untrained_learners_of_one_seed_start_from_the_same_weights(data, load):
    training = load()[2].training
    source = workspace.open_source("tiny", "train", data, {})
    classes = classes_of("protonet")
    one = build_learner(training, classes, source, CPU).state_dict()
    torch.rand(1)
    other = build_learner(training, classes, source, CPU).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_backbone_that_drops_at_random_is_refused_for_gradient_learners(data, load):
    text = MAML.replace('backbone = "conv4"\nbackbone_options', 'backbone = "resnet12"\n#')
    with pytest.raises(UserError, match="set backbone_options.drop_rate = 0"):
        check(load(text), data)


def test_compilation_is_refused_for_gradient_learners(data, load):
    """They record CUDA graphs, which a compiled step would record into graphs of its own."""
    text = MAML.replace("[defaults.recipe]", "[defaults.recipe]\ncompile = true")
    with pytest.raises(UserError, match="maml: recipe.compile is for other learners"):
        check(load(text), data)


def test_winograd_is_refused_for_gradient_learners(data, load):
    """Their outer gradient goes through the inner ones, which it cannot differentiate."""
    text = MAML.replace("[defaults.recipe]", '[defaults.recipe]\nconvolutions = "winograd"')
    with pytest.raises(UserError, match="maml: convolutions = 'winograd' is for other learners"):
        check(load(text), data)
