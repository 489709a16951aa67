"""Mistakes are found before anything is trained."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_data import DATASETS
from helpers.runs import CROSS, MAML, check, cross_cells, go, states
from helpers.tiny import BENCHMARK, write_made, write_near, write_tiny

from fewshot.data.splits import ClassSplit
from fewshot.errors import UserError
from fewshot.runner import validate, workspace


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["scoring.n_query=5"],
            "tiny: class 'class-11' of the test split has 9 images, fewer than 5 support + 5 query",
        ),
        (["scoring.n_way=5"], "tiny: the test split has 4 classes, fewer than 5 ways"),
        (["recipe.val_n_way=4"], "tiny: the val split has 3 classes, fewer than 4 ways"),
        (["recipe.n_way=6"], "tiny: the train split has 5 classes, fewer than 6 ways"),
        (["recipe.val_n_query=10"], "class 'class-05' of the val split has 10 images"),
        (["dataset='tiyn'"], "unknown data set 'tiyn': did you mean 'tiny'?"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(data, load, settings, message):
    with pytest.raises(UserError, match=re.escape(message)):
        check(load(BENCHMARK, *settings), data)


def test_a_recipe_without_a_budget_is_found_before_anything_is_trained(data, load):
    text = BENCHMARK.replace("steps = 3\n", "")
    with pytest.raises(UserError, match="no budget: steps, images or seconds"):
        check(load(text), data)
    untrained = [cell for cell in load(text) if cell.training.learner == "pixels"]
    check(untrained, data)  # what is not trained needs no budget


def test_images_too_small_for_the_backbone_are_found_before_anything_is_trained(load, tmp_path):
    names = [f"class-{c}" for c in range(12)]
    split = ClassSplit(tuple(names[:5]), tuple(names[5:8]), tuple(names[8:]), "made")
    images = np.zeros((120, 8, 8, 3), np.uint8)
    sizes = dict.fromkeys(sorted(names), 10)
    write_made(tmp_path, "tiny", sizes, images, split)
    with pytest.raises(UserError, match="8 px is too small"):
        check(load(), tmp_path)


def test_a_sound_benchmark_passes_the_check_and_nothing_is_written(data, load):
    before = states(data)
    check(load(), data)
    assert states(data) == before


def test_a_head_of_fixed_size_that_does_not_fit_is_found_before_anything_is_trained(data, load):
    check(load(MAML), data)
    with pytest.raises(UserError, match=r"recipe.n_way = 3, but learner_options.n_way = 4"):
        check(load(MAML.replace("{ n_way = 3 }", "{ n_way = 4 }")), data)


def test_test_classes_that_were_trained_on_are_warned_of(both, load):
    cells = cross_cells(load, "pixels", "protonet", "transfer")
    assert check(cells, both) == [
        "warning: tiny to near: 2 of the 4 test classes were trained on: class-00, class-03"
    ]
    assert check(cells[:3], both) == []  # their own test classes
    assert check(cross_cells(load, "pixels"), both) == []  # it is not trained
    write_near(both, seen=["class-05", "class-11"])  # of validation and test
    assert check(cells, both) == []


def test_a_long_warning_names_the_first_ten(both, load):
    train, test = (workspace.open_source("tiny", part, both, {}) for part in ("train", "test"))
    names = tuple(f"n{i:02}" for i in range(13))
    train, test = replace(train, class_names=names), replace(test, class_names=names)
    assert validate.classes_trained_on(train, test) == list(names)
    words = validate._overlap_warning(train, test, names)
    assert words.endswith("n08, n09 and 3 more")


def test_mini_and_tiered_imagenet_share_classes_by_their_names(both):
    """The numbers that algorithms.md has from the class lists."""
    splits = {name: DATASETS[name].split() for name in ("mini-imagenet", "tiered-imagenet")}
    source = workspace.open_source("tiny", "train", both, {})

    def shared(trained, tested):
        return len(
            validate.classes_trained_on(
                replace(source, class_names=splits[trained].train),
                replace(source, class_names=splits[tested].test),
            )
        )

    assert shared("tiered-imagenet", "mini-imagenet") == 5
    assert shared("mini-imagenet", "tiered-imagenet") == 13


RESNET = 'backbone = "resnet12"\nbackbone_options = { widths = [4, 4, 4, 4], drop_rate = 0 }'


def test_images_of_another_size_are_refused_where_the_backbone_gives_other_features(load, tmp_path):
    data = write_near(write_tiny(tmp_path), size=32)
    with pytest.raises(UserError, match=r"conv4 trained on images of 16 px gives 4 features, and"):
        check(cross_cells(load, "protonet"), data)
    pooled = CROSS.replace('backbone = "conv4"\nbackbone_options = { filters = 4 }', RESNET)
    cells = [c for c in load(pooled, "scoring.dataset=near") if c.training.learner == "protonet"]
    check(cells, data)
    assert go(cells, tmp_path / "results", data).done == [cells[0].id]
