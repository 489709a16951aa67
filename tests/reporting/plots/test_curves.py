"""Validation curves: read once a training, banded over seeds, and timed to a target."""

import math

import numpy as np
import pytest
from helpers.cell_folders import curve, on_disk, trained
from helpers.cells import made_cell

from fewshot.errors import UserError
from fewshot.reporting.plots.curves import Curve, band, by_name, curves_of, default_target, reach
from fewshot.reporting.plots.points import points_of
from fewshot.results.rows import table_rows


def made_curve(*accuracies, name="mtl", seed=0, seconds=10.0, images=1000.0):
    steps = np.arange(1, len(accuracies) + 1)
    return Curve(
        name=name,
        dataset="made",
        shape=(5, 5),
        seed=seed,
        seconds_V=seconds * steps,
        images_V=images * steps,
        accuracy_V=np.array(accuracies),
        budget_s=seconds * len(accuracies),
        machine="Abacus",
    )


def read(folder, *cells_and_curves):
    cells = on_disk(folder, *cells_and_curves)
    return curves_of(points_of(table_rows(cells)))


def test_the_first_validation_that_meets_the_target_counts():
    found = reach(
        [
            made_curve(0.3, 0.5, 0.4, 0.6, name="late"),
            made_curve(0.5, 0.2, 0.2, name="soon"),  # that it fell again does not count
            made_curve(0.1, 0.4, 0.49, name="near miss"),
            made_curve(0.1, 0.2, 0.3, name="miss"),
        ],
        0.5,
    )
    assert [(r.name, r.median_s) for r in found] == [
        ("soon", 10.0),
        ("late", 20.0),
        ("near miss", math.inf),
        ("miss", math.inf),
    ]
    assert [r.budget_s for r in found] == [(30.0,), (40.0,), (30.0,), (30.0,)]
    assert [r.hits for r in found] == [1, 1, 0, 0]


def test_over_seeds_it_is_the_median_and_a_miss_is_never():
    seeds = [made_curve(0.6), made_curve(0.1, 0.1, 0.6, seed=1), made_curve(0.1, 0.2, seed=2)]
    (found,) = reach(seeds, 0.5)
    assert found.seconds == (10.0, 30.0, math.inf)
    assert found.median_s == 30.0
    assert found.hits == 2
    (most_missed,) = reach(seeds, 0.55 + 0.1)
    assert most_missed.median_s == math.inf


def test_the_default_target_is_the_best_level_of_the_weakest():
    curves = [
        made_curve(0.2, 0.7, name="strong"),
        made_curve(0.2, 0.5, 0.4, name="weak"),
        made_curve(0.6, name="weak", seed=1),
        made_curve(0.1, name="weak", seed=2),
    ]
    assert default_target(curves) == 0.5  # of weak's 0.5, 0.6 and 0.1 the median
    assert default_target(curves[:1]) == 0.7


def test_every_name_meets_the_default_target_with_one_seed():
    rng = np.random.default_rng(0)
    curves = [made_curve(*rng.uniform(size=5), name=str(i)) for i in range(20)]
    assert all(r.hits for r in reach(curves, default_target(curves)))


def test_a_band_runs_from_the_lowest_seed_to_the_highest():
    found = band([made_curve(0.2, 0.4), made_curve(0.3, 0.7, seed=1)], "images")
    assert found.x_G.tolist() == [1000.0, 2000.0]
    assert found.mean_G == pytest.approx([0.25, 0.55])
    assert found.low_G == pytest.approx([0.2, 0.4])
    assert found.high_G == pytest.approx([0.3, 0.7])


def test_a_band_of_unlike_cadence_is_linear_between_validations_where_all_seeds_run():
    found = band([made_curve(0.2, 0.4, 0.6), made_curve(0.5, 0.5, seconds=15, seed=1)], "seconds")
    assert found.x_G.tolist() == [15.0, 20.0, 30.0]
    assert found.low_G == pytest.approx([0.3, 0.4, 0.5])
    assert found.high_G == pytest.approx([0.5, 0.5, 0.6])


def test_one_seed_keeps_its_own_validations():
    found = band([made_curve(0.2, 0.9, 0.4)], "seconds")
    assert found.x_G.tolist() == [10.0, 20.0, 30.0]
    assert found.mean_G.tolist() == found.low_G.tolist() == found.high_G.tolist() == [0.2, 0.9, 0.4]


def test_cells_that_share_a_training_give_one_curve(tmp_path):
    rows = curve(0.3, 0.6)
    (found,) = read(
        tmp_path,
        (made_cell("mtl", n_shot=1), rows),
        (made_cell("mtl", n_shot=5), rows),
        (made_cell("mtl", n_shot=5, label="a longer name"), rows),
        (made_cell("pixels", trained=False), []),
    )
    assert found.name == "mtl/conv4"
    assert found.accuracy_V.tolist() == [0.3, 0.6]
    assert found.seconds_V.tolist() == [10.0, 20.0]


def test_seeds_share_a_name(tmp_path):
    found = read(tmp_path, trained("mtl", 0.3), trained("mtl", 0.4, seed=1), trained("maml", 0.5))
    assert {name: len(seeds) for name, seeds in by_name(found).items()} == {
        "mtl/conv4": 2,
        "maml/conv4": 1,
    }


def test_trainings_of_one_row_for_each_shot_are_not_taken_for_seeds(tmp_path):
    found = read(tmp_path, trained("mtl", 0.3, n_shot=1, c=1.0), trained("mtl", 0.4, c=2.0))
    assert sorted(c.name for c in found) == ["mtl/conv4 for 5w1s", "mtl/conv4 for 5w5s"]


def test_a_validation_without_a_number_is_left_out(tmp_path):
    (found,) = read(tmp_path, trained("mtl", 0.3, float("nan"), 0.4))
    assert found.seconds_V.tolist() == [10.0, 30.0]
    assert read(tmp_path / "other", trained("mtl", float("nan"))) == []


@pytest.mark.parametrize("text", ["", "step,seconds\n1,2\n", '"'])
def test_a_curve_that_is_none_is_an_error_that_names_the_file(tmp_path, text):
    cells = on_disk(tmp_path, trained("mtl", 0.3))
    (cells[0].path / "curve.csv").write_text(text)
    with pytest.raises(UserError, match=r"curve\.csv: (cannot be read|no images)"):
        curves_of(points_of(table_rows(cells)))
