"""What is shown of accuracy and cost: the front, who may stand on it, and what tells rows apart."""

import numpy as np
import pytest
from helpers.cells import altered, made_cell
from hypothesis import given, settings
from hypothesis import strategies as st

from fewshot.reporting.plots.points import (
    main_machine,
    may_lead,
    pareto_front,
    points_of,
    protocol_words_of,
    provenance,
)
from fewshot.results.rows import table_rows

FEW = st.integers(1, 6).map(float)  # few values, so that there are ties


def points(*cells):
    return points_of(table_rows(cells))


@settings(deadline=None)
@given(st.lists(st.tuples(FEW, FEW), max_size=12))
def test_the_front_is_what_no_other_point_dominates(pairs):
    seconds, accuracies = [s for s, _ in pairs], [a for _, a in pairs]

    def dominated(i):
        return any(
            s <= seconds[i] and a >= accuracies[i] and (s, a) != (seconds[i], accuracies[i])
            for s, a in pairs
        )

    found = pareto_front(seconds, accuracies)
    assert sorted(found) == [i for i in range(len(pairs)) if not dominated(i)]
    assert [seconds[i] for i in found] == sorted(seconds[i] for i in found)
    assert [accuracies[i] for i in found] == sorted(accuracies[i] for i in found)


def test_a_point_is_one_score_with_the_time_of_its_own_trainings():
    found = points(
        made_cell("mtl", n_shot=1, train_s=10.0, c=1.0),
        made_cell("mtl", n_shot=5, train_s=30.0, c=2.0),  # trained anew for this shot
        made_cell("mtl", n_shot=5, train_s=50.0, c=2.0, seed=1),
        made_cell("pixels", trained=False),
    )
    by_place = {(point.name, point.column): point for point in found}
    assert by_place["mtl/conv4", "made 5w1s"].train_s == (10.0,)
    five = by_place["mtl/conv4", "made 5w5s"]
    assert sorted(five.train_s) == [30.0, 50.0]
    assert five.seconds == 40.0
    assert by_place["pixels", "made 5w5s"].train_s == ()
    assert by_place["pixels", "made 5w5s"].machine is None


def test_cells_that_share_a_training_count_its_time_once():
    (one, other) = points(made_cell("mtl", n_shot=1), made_cell("mtl", n_shot=5))
    assert one.train_s == other.train_s == (90.0,)


def test_the_front_is_for_like_times_and_like_means():
    usual, *others = points(
        made_cell("a"),
        made_cell("b", transductive=True),
        made_cell("c", pretraining="imagenet"),
        made_cell("d", training_classes="train of other"),
        made_cell("e", gpu="A100"),
    )
    machine = main_machine([p.machine for p in (usual, *others)])
    assert machine == "Abacus, 2 threads"
    assert may_lead(usual, machine)
    assert [may_lead(point, machine) for point in others] == [False] * 4
    assert may_lead(others[-1], "A100, 2 threads")


def test_the_main_machine_is_the_one_of_most_and_of_a_fixed_choice_of_several():
    assert main_machine(["b", "b", "a", None]) == "b"
    assert main_machine(["b", "a", None, None]) == "a"
    assert main_machine([None]) is None


def test_the_machine_is_where_the_training_ran_not_where_it_was_scored():
    cell = made_cell("mtl", gpu="A100")
    assert points(cell)[0].machine == "A100, 2 threads"
    host = {**cell.run.json["host"], "gpu": None, "threads": 8}
    assert points(altered(cell, {"training.host": host}))[0].machine == "Abacus, 8 threads"


def test_protocols_are_told_apart_by_what_differs_alone():
    found = points(made_cell("a"), made_cell("b", batch_norm="support"), made_cell("c"))
    words, keys = protocol_words_of(found)
    assert keys == ["batch_norm"]
    assert {p.name: said for p, said in zip(found, words, strict=True)} == {
        "a/conv4": "batch norm running",
        "b/conv4": "batch norm support",
        "c/conv4": "batch norm running",
    }
    assert protocol_words_of(found[:1])[1] == []


def test_the_source_names_each_machine_and_commit_once():
    git = {"commit": "0123456789", "changed": True}
    text = provenance([made_cell(), made_cell("b", git=git), made_cell("c", gpu="A100")])
    assert text == (
        "On A100, 2 threads (torch 2.6); Abacus, 2 threads (torch 2.6); "
        "commit 0123456 with changes, unknown."
    )


def test_points_keep_the_interval_of_tables():
    (point,) = points(made_cell("a", 0.2, 0.4, 0.6))
    assert point.interval.mean == pytest.approx(0.4)
    assert np.array_equal(point.score.accuracy_E, [0.2, 0.4, 0.6])
    assert point.queries == 75


def test_the_source_of_a_figure_says_when_its_times_were_disturbed():
    quiet = altered(made_cell("mtl"), {"training.spent.others": 0.01})
    disturbed = altered(made_cell("protonet"), {"training.spent.others": 0.52})
    assert "meanwhile" not in provenance([quiet])
    assert provenance([quiet, disturbed]).endswith(
        "Others used up to 52 % of the machine meanwhile."
    )
