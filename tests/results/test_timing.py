"""Which times may be held against each other, and which were disturbed."""

import pytest
from helpers.cells import altered, made_cell

from fewshot.results.timing import (
    DISTURBED,
    Machine,
    Timing,
    alike,
    machines_in,
    machines_of,
    mean_time,
    scoring_time,
    trained_on,
    training_time,
)

ABACUS = Machine("Abacus", None, 2, 2, None, None, "2.6", "fp32")
GPU = Machine("Abacus", None, 2, 2, "Big GPU", "550.1", "2.6", "fp32")
OTHER = {
    "processor": "Slide rule",
    "kind": "with a cursor",
    "cores": 4,
    "threads": 1,
    "gpu": "Big GPU",
    "driver": "550.1",
    "torch": "2.7",
    "precision": "bf16",
}


@pytest.mark.parametrize("field", Machine._fields)
def test_machines_that_differ_in_anything_have_other_words_and_another_fingerprint(field):
    other = ABACUS._replace(**{field: OTHER[field]})
    assert other.words != ABACUS.words
    assert other.fingerprint != ABACUS.fingerprint
    assert len(other.fingerprint) == 8
    assert int(other.fingerprint, 16) >= 0


def test_a_fingerprint_is_the_same_in_every_process_and_version():
    assert ABACUS.fingerprint == "2e17ef15"


def test_words_say_what_is_there_and_nothing_else():
    assert ABACUS.words == "Abacus, 2 threads on 2 cores, torch 2.6, fp32"
    early = ABACUS._replace(cores=None)
    assert early.words == "Abacus, 2 threads, torch 2.6, fp32"
    assert GPU.words == "Big GPU, driver 550.1, Abacus, 2 threads on 2 cores, torch 2.6, fp32"
    cloud = ABACUS._replace(kind="family 25, AVX2")
    assert cloud.words == "Abacus (family 25, AVX2), 2 threads on 2 cores, torch 2.6, fp32"
    assert cloud.place == "Abacus (family 25, AVX2), 2 threads"
    assert (ABACUS.place, GPU.place) == ("Abacus, 2 threads", "Big GPU, 2 threads")


def test_a_training_is_timed_where_it_ran_and_a_test_where_it_was_scored():
    cell = made_cell("mtl", train_s=80.0, precision="bf16")
    host = {**cell.run.json["host"], "gpu": "Big GPU", "driver": "1"}
    changes = {"training.host": host, "training.spent.others": 0.25, "scoring.others": 0.5}
    cell = altered(cell, changes)
    training, test = training_time(cell.run), scoring_time(cell.run, 0.5)
    on_gpu = Machine("Abacus", None, None, 2, "Big GPU", "1", "2.6", "bf16")
    assert training == Timing(80.0, on_gpu, 0.25)
    assert test == Timing(0.5, on_gpu._replace(gpu=None, driver=None), 0.5)
    assert machines_of(cell.run) == {training.machine, test.machine}


def test_what_early_cells_do_not_say_is_unknown():
    cell = made_cell("mtl")
    assert training_time(cell.run).others is None
    assert not training_time(cell.run).disturbed
    assert scoring_time(cell.run, 1.0).others is None
    assert (trained_on(cell.run).kind, trained_on(cell.run).cores) == (None, None)


def test_without_a_training_there_is_no_time_of_it():
    cell = made_cell("pixels", trained=False)
    assert training_time(cell.run) is None
    assert machines_of(cell.run) == {scoring_time(cell.run, 1.0).machine}


@pytest.mark.parametrize(
    ("others", "disturbed"), [(None, False), (0.0, False), (DISTURBED, False), (0.051, True)]
)
def test_a_time_is_disturbed_by_more_than_five_per_cent(others, disturbed):
    assert DISTURBED == 0.05
    assert Timing(1.0, ABACUS, others).disturbed is disturbed


QUIET, LOUD, ELSEWHERE = (
    Timing(10.0, ABACUS, 0.0),
    Timing(30.0, ABACUS, 0.5),
    Timing(1.0, GPU, 0.0),
)


def test_what_ran_alone_is_never_averaged_with_what_ran_beside_others():
    assert alike([LOUD, QUIET, LOUD]) == [1]
    assert mean_time([LOUD, QUIET, LOUD]) == QUIET
    assert alike([LOUD, LOUD]) == [0, 1]  # there are no better ones: their mean is marked
    assert mean_time([LOUD, LOUD]).disturbed


def test_machines_are_never_averaged_and_the_one_of_most_counts():
    assert alike([ELSEWHERE, QUIET, ELSEWHERE]) == [0, 2]
    assert alike([ELSEWHERE, QUIET]) == alike([ELSEWHERE, QUIET]) == [1]  # Abacus before Big GPU
    assert mean_time([QUIET, ELSEWHERE]).seconds == 10.0


def test_the_mean_keeps_the_largest_share_of_others():
    times = [Timing(1.0, ABACUS, None), Timing(3.0, ABACUS, 0.01), Timing(5.0, ABACUS, 0.04)]
    assert mean_time(times) == Timing(3.0, ABACUS, 0.04)
    assert mean_time(times[:1]) == times[0]
    assert mean_time([]) is None


def test_machines_stand_in_the_order_of_their_words():
    assert machines_in([ELSEWHERE, QUIET, LOUD, ELSEWHERE]) == [ABACUS, GPU]
