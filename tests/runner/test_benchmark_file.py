"""Benchmark files: expansion, ids, origins, and one clear line for each mistake."""

import pytest
from helpers.benchmarks import TEXT, LearnerConfig, load

from fewshot.errors import UserError


def test_seeds_and_shots_make_cells_that_share_trainings():
    cells = load()
    assert [(c.training.seed, c.scoring.n_shot) for c in cells] == [
        (0, 1),
        (0, 5),
        (1, 1),
        (1, 5),
    ]
    assert len({c.id for c in cells}) == 4
    assert len({c.training.id for c in cells}) == 2
    assert cells[0].id.startswith("made-net-mine-5w1s-s0-")
    assert cells[0].training.learner_options == LearnerConfig(c=2.0)


def test_a_list_of_data_sets_makes_cells_of_each():
    cells = load(TEXT.replace('"made"', '["made", "other"]'))
    assert [c.id for c in cells[:4]] == [c.id for c in load()]
    assert [c.training.dataset for c in cells] == 4 * ["made"] + 4 * ["other"]
    assert len({c.training.id for c in cells}) == 4


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (
            TEXT.replace("steps", "stepz"),
            [],
            "unknown key 'stepz': did you mean 'steps'",
        ),
        (
            TEXT.replace("c = 2", "cc = 2"),
            [],
            "mine: learner_options: unknown key 'cc'",
        ),
        (
            TEXT.replace("c = 2", "c = 'x'"),
            [],
            "learner_options.c: Input should be a valid number",
        ),
        (
            TEXT.replace('"mine"', '"mime"'),
            [],
            "unknown learner 'mime': did you mean 'mine'",
        ),
        (
            TEXT.replace('"net"', '"nett"'),
            [],
            "unknown backbone 'nett': did you mean 'net'",
        ),
        (TEXT.replace("steps = 10", "steps = 0"), [], "recipe.steps: .*greater than 0"),
        (TEXT.replace("[0, 1]", "[0, 0]"), [], "stands in the file twice"),
        (TEXT.replace("[0, 1]", "[-1]"), [], "seeds are whole numbers"),
        (TEXT.replace('dataset = "made"', ""), [], "needs `dataset"),
        (TEXT.replace('"made"', '["made", 3]'), [], "needs `dataset"),
        (TEXT.replace('"made"', "[]"), [], "needs `dataset"),
        (TEXT.replace('"made"', '["made", "made"]'), [], "stands in the file twice"),
        (TEXT, ["scoring.dataset=['a']"], "scoring.dataset: Input should be a valid string"),
        (TEXT.replace("[[training]]", "[[trainings]]"), [], "unknown key 'trainings'"),
        ("", [], r"no \[\[training\]\]"),
        ("= x", [], "not a TOML file"),
        (TEXT, ["recipe.lr"], "expected key=value"),
        (TEXT, ["recipe.lrr=1"], "unknown key 'lrr'"),
        (TEXT, ["recipe=1"], "expected a table"),
        (TEXT, ["recipe.optimizer=sdg"], "recipe.optimizer: Input should be 'sgd'"),
        (TEXT, ["recipe.validations=0"], "needs validations"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(text, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        load(text, *settings)
    assert "\n" not in str(caught.value)
    assert "bench" in str(caught.value) or "--set" in str(caught.value) or "unknown" in message


def test_targets_are_by_data_set_and_change_no_name():
    cells = load(
        TEXT.replace(
            "[defaults.recipe]", "[defaults.targets]\nmade = 0.6\nother = 0.4\n[defaults.recipe]"
        )
    )
    assert [cell.target for cell in cells] == 4 * [0.6]
    assert cells[0].resolved()["target"] == 0.6
    assert [c.id for c in cells] == [c.id for c in load()]
    assert load()[0].target is None


@pytest.mark.parametrize("value", ["1.5", "60", "0", '"high"'])
def test_a_target_is_an_accuracy(value):
    with pytest.raises(UserError, match=r"bench, mine: targets\.made: Input should be"):
        load(TEXT + f"targets = {{ made = {value} }}\n")


def test_image_sizes_hold_until_their_share_of_the_budget():
    recipe = load(TEXT, "recipe.image_sizes=[[0.25, 16], [0.5, 24]]")[0].training.recipe
    found = {p: recipe.edge_at(p, 32) for p in (0.0, 0.24, 0.25, 0.49, 0.5, 1.0)}
    assert found == {0.0: 16, 0.24: 16, 0.25: 24, 0.49: 24, 0.5: 32, 1.0: 32}
    assert load()[0].training.recipe.edge_at(0.1, 32) == 32


@pytest.mark.parametrize(
    "value", ["[[0.5, 24], [0.25, 16]]", "[[0.5, 16], [0.5, 24]]", "[[1.0, 16]]", "[[0.5, 4]]"]
)
def test_image_sizes_are_refused_out_of_order_or_range(value):
    with pytest.raises(UserError, match="image_sizes"):
        load(TEXT, f"recipe.image_sizes={value}")


@pytest.mark.parametrize("other", ["recipe.precision=bf16", "recipe.compile=true"])
def test_winograd_is_refused_where_it_does_not_compute(other):
    load(TEXT, "recipe.convolutions=winograd")
    with pytest.raises(UserError, match="winograd' needs precision = 'fp32', not compiled"):
        load(TEXT, "recipe.convolutions=winograd", other)


def test_the_best_weights_need_validations_of_either_kind():
    load(TEXT, "recipe.validations=0", "recipe.validate_every_s=10")
    with pytest.raises(UserError, match="needs validations"):
        load(TEXT, "recipe.validations=0")
