"""Table rows: which cells make one, in what order they stand, and which cells are refused."""

import numpy as np
import pytest
from helpers.cells import made_cell

from fewshot.errors import UserError
from fewshot.reporting.tables import render
from fewshot.results.rows import column_names, column_of, table_rows
from fewshot.results.timing import mean_time
from fewshot.statistics.intervals import mean_ci95


def test_the_best_of_the_last_column_stands_first_and_holes_last():
    cells = [
        made_cell("a-low", 0.2, 0.3),
        made_cell("b-hole", 0.9, 0.9, n_shot=1),
        made_cell("c-high", 0.8, 0.7),
        made_cell("d-middle", 0.5, 0.5),
    ]
    names = ["c-high", "d-middle", "a-low", "b-hole"]
    assert [row.learner for row in table_rows(cells)] == names
    assert [row.learner for row in table_rows(cells[::-1])] == names


def test_equal_rows_stand_by_name():
    cells = [made_cell("b"), made_cell("a"), made_cell("c")]
    assert [row.learner for row in table_rows(cells)] == ["a", "b", "c"]


def test_columns_stand_by_data_set_then_ways_then_shots():
    cells = [
        made_cell(dataset=d, n_way=w, n_shot=s)
        for d, w, s in [("b", 5, 1), ("a", 20, 1), ("a", 5, 10), ("a", 5, 5)]
    ]
    columns = column_names(table_rows(cells))
    assert columns == ["a 5w5s", "a 5w10s", "a 20w1s", "b 5w1s"]


def test_seeds_make_one_row_whose_episodes_are_means_over_the_seeds():
    one, other = (0.2, 0.6, 0.4), (0.4, 0.2, 0.6)
    cells = [made_cell("mtl", *one, train_s=10.0), made_cell("mtl", *other, seed=7, train_s=30.0)]
    (row,) = table_rows(cells)
    score = row.scores["made 5w5s"]
    assert score.interval() == pytest.approx(mean_ci95(np.mean([one, other], axis=0)))
    assert (len(score.accuracy_E), row.seeds, row.costs.images) == (3, 2, 12345)
    assert mean_time(row.costs.training_times).seconds == 20.0


def test_shots_of_one_training_make_one_row_that_counts_it_once():
    cells = [made_cell(n_shot=1, train_s=10.0), made_cell(n_shot=5, train_s=10.0)]
    (row,) = table_rows(cells)
    assert set(row.scores) == {"made 5w1s", "made 5w5s"}
    assert ([time.seconds for time in row.costs.training_times], row.seeds) == ([10.0], 1)


def test_backbones_and_labels_make_rows_of_their_own():
    cells = [made_cell(), made_cell(backbone="resnet12"), made_cell(label="long", c=2.0)]
    rows = {(row.name, row.backbone) for row in table_rows(cells)}
    assert rows == {("protonet", "conv4"), ("protonet", "resnet12"), ("protonet (long)", "conv4")}


def test_two_setups_without_a_label_make_two_rows():
    rows = table_rows([made_cell("mtl", 0.5, 0.5), made_cell("mtl", 0.9, 0.9, c=2.0)])
    assert [row.scores["made 5w5s"].interval().mean for row in rows] == [0.9, 0.5]
    assert len({row.name for row in rows}) == 2
    assert all(row.seeds == 1 for row in rows)


def test_each_of_two_setups_keeps_its_shots_in_one_row():
    cells = [made_cell("mtl", n_shot=shot, c=c) for shot in (1, 5) for c in (1.0, 2.0)]
    rows = table_rows(cells)
    assert [set(row.scores) for row in rows] == [{"made 5w1s", "made 5w5s"}] * 2


def test_each_of_two_setups_keeps_its_seeds_in_one_row():
    cells = [made_cell("mtl", seed=seed, c=c) for seed in (0, 1, 2) for c in (1.0, 2.0)]
    assert [row.seeds for row in table_rows(cells)] == [3, 3]


def test_a_rival_in_one_column_does_not_tear_a_row_apart():
    cells = [
        made_cell("mtl", n_shot=1),
        made_cell("mtl", n_shot=5),
        made_cell("mtl", n_shot=1, c=2.0),
    ]
    assert sorted(len(row.scores) for row in table_rows(cells)) == [1, 2]


@pytest.mark.parametrize(
    ("unlike", "kind"), [({"fingerprint": "images-1"}, "images"), ({"digest": "x"}, "episodes")]
)
def test_cells_of_other_images_or_episodes_are_refused(unlike, kind):
    cells = [made_cell("mtl"), made_cell("protonet", **unlike)]
    with pytest.raises(UserError, match=f"different {kind}") as caught:
        render(cells, "text")
    for cell in cells:
        assert cell.run.cell in str(caught.value)


def test_other_columns_may_have_other_images_and_episodes():
    cells = [
        made_cell(n_shot=1),
        made_cell(n_shot=5, digest="episodes-5"),
        made_cell(dataset="b", fingerprint="b", digest="b"),
    ]
    assert len(column_names(table_rows(cells))) == 3


@pytest.mark.parametrize("shape", [(5, 1), (20, 5)])
def test_the_column_of_a_cell(shape):
    assert column_of(made_cell(n_way=shape[0], n_shot=shape[1])) == "made {}w{}s".format(*shape)


def test_a_learner_trained_anew_for_each_shot_makes_one_row():
    cells = [made_cell("mtl", n_shot=1, c=1.0), made_cell("mtl", n_shot=5, c=2.0)]
    (row,) = table_rows(cells)
    assert (row.name, len(row.scores)) == ("mtl", 2)
    rival = made_cell("mtl", n_shot=5, c=3.0)
    assert len(table_rows([*cells, rival])) == 3


def test_a_row_holds_its_cells_and_a_score_those_of_its_column():
    cells = [made_cell("mtl", n_shot=shot, seed=seed) for shot in (1, 5) for seed in (0, 1)]
    (row,) = table_rows(cells)
    assert row.cells == tuple(cells)
    assert row.scores["made 5w1s"].cells == tuple(cells[:2])
    assert row.scores["made 5w5s"].cells == tuple(cells[2:])
