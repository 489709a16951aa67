"""Trainings and cells are named by what makes their numbers."""

from helpers.benchmarks import TEXT, load


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
