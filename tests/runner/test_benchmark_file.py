"""Benchmark files: expansion, ids, origins, and one clear line for each mistake."""

from dataclasses import dataclass

import pytest

from fewshot.errors import UserError
from fewshot.options import option
from fewshot.runner.benchmark_file import OptionClasses, parse_benchmark
from fewshot.runner.cells import Cell


@dataclass(frozen=True)
class LearnerConfig:
    c: float = 1.0
    deep: bool = False
    wide: bool = option(False, added_later=True)
    head: int = option(1, added_later=True, test_only=True)


@dataclass(frozen=True)
class BackboneConfig:
    filters: int = 64


OPTIONS = OptionClasses({"mine": LearnerConfig}, {"net": BackboneConfig})
TEXT = """
[defaults]
dataset = "made"
backbone = "net"
[defaults.scoring]
n_shot = [1, 5]
[defaults.recipe]
steps = 10
[[training]]
learner = "mine"
seeds = [0, 1]
learner_options = { c = 2 }
"""


def load(text: str = TEXT, *settings: str) -> list[Cell]:
    return parse_benchmark("bench", text, OPTIONS, settings)


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


def test_ids_follow_from_the_resolved_values_alone():
    explicit = TEXT.replace("c = 2", "c = 2.0, deep = false")
    assert [c.id for c in load(explicit)] == [c.id for c in load()]
    assert load(TEXT, "recipe.lr=0.2")[0].id != load()[0].id
    assert load(TEXT, "recipe.lr=0.1")[0].id == load()[0].id
    relabelled = load(TEXT + 'label = "a name"')[0]
    assert (relabelled.id, relabelled.label) == (load()[0].id, "a name")


def test_an_option_added_later_renames_only_the_cells_that_use_it():
    assert load(TEXT, "learner_options.wide=false")[0].id == load()[0].id
    assert load(TEXT, "learner_options.wide=true")[0].id != load()[0].id
    assert load()[0].resolved()["training"]["learner_options"]["wide"] is False


def test_cells_that_differ_in_a_test_only_option_share_their_training():
    plain, other = load()[0], load(TEXT, "learner_options.head=2")[0]
    assert plain.training.id == other.training.id
    assert plain.id != other.id
    assert load(TEXT, "learner_options.c=3")[0].training.id != plain.training.id


def test_ids_of_a_known_cell_never_change():
    """Committed results are found by these names."""
    assert load()[0].id == "made-net-mine-5w1s-s0-e5ceee7e"
    assert load()[0].training.id == "made-net-mine-s0-9de42d85"


def test_scoring_does_not_touch_the_training():
    assert load(TEXT, "scoring.episodes=7")[0].training.id == load()[0].training.id
    assert load(TEXT, "scoring.episodes=7")[0].id != load()[0].id


def test_a_list_of_data_sets_makes_cells_of_each():
    cells = load(TEXT.replace('"made"', '["made", "other"]'))
    assert [c.id for c in cells[:4]] == [c.id for c in load()]
    assert [c.training.dataset for c in cells] == 4 * ["made"] + 4 * ["other"]
    assert len({c.training.id for c in cells}) == 4


def test_scoring_on_another_data_set_is_another_cell_of_the_same_training():
    cell, other = load()[0], load(TEXT, "scoring.dataset=other")[0]
    assert other.training.id == cell.training.id
    assert other.id.startswith("made-to-other-net-mine-5w1s-s0-")
    assert (other.scored_on, other.is_cross_domain) == ("other", True)
    assert (cell.scored_on, cell.is_cross_domain) == ("made", False)
    assert other.resolved()["scoring"]["dataset"] == "other"
    assert other.origins["scoring.dataset"] == "--set"


def test_scoring_on_the_trainings_own_data_set_is_no_other_cell():
    own = load(TEXT, "scoring.dataset=made")
    assert [c.id for c in own] == [c.id for c in load()]
    both = load(TEXT.replace('"made"', '["made", "other"]'), "scoring.dataset=made")
    assert [c.is_cross_domain for c in both] == 4 * [False] + 4 * [True]


def test_each_value_knows_where_it_came_from():
    origins = load(TEXT, "recipe.lr=0.2")[0].origins
    assert origins["recipe.lr"] == "--set"
    assert origins["recipe.steps"] == "bench [defaults]"
    assert origins["learner_options.c"] == "bench [[training]]"
    assert origins["recipe.batch_size"] == origins["learner_options.deep"] == "default"


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
