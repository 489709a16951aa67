"""Published numbers are data with a source and a degree of trust, and never measured ones."""

import pytest
from helpers.cells import made_cell
from helpers.learners import BACKBONES, LEARNERS

from fewshot.reporting.published import published, published_numbers
from fewshot.results.rows import table_rows

DATASETS = {"cifar-fs", "fc100", "mini-imagenet", "tiered-imagenet"}


def test_there_are_many_and_each_has_a_source():
    assert len(published_numbers()) > 80
    assert all(number.source for number in published_numbers())


@pytest.mark.parametrize("number", published_numbers(), ids=lambda n: f"{n.learner}-{n.column}")
def test_each_has_names_of_the_suite_and_a_possible_value(number):
    dataset, shape = number.column.split()
    assert dataset in DATASETS
    assert shape in ("5w1s", "5w5s")
    assert number.learner in LEARNERS
    assert number.backbone in BACKBONES
    assert 0.2 < number.accuracy < 0.95
    assert 0 <= number.ci95 < 0.03


def test_five_shots_beat_one():
    """A slip of a line or a column in the data would break this."""
    by_key = {}
    for n in published_numbers():
        dataset, shape = n.column.split()
        by_key.setdefault((n.learner, n.backbone, dataset, n.source, n.note), {})[shape] = (
            n.accuracy
        )
    both = [shots for shots in by_key.values() if len(shots) == 2]
    assert len(both) > 30
    assert all(shots["5w1s"] + 0.08 < shots["5w5s"] for shots in both)


def test_the_first_number_of_a_learner_is_shown():
    (row,) = table_rows([made_cell("protonet", dataset="mini-imagenet")])
    found = published(row, "mini-imagenet 5w5s")
    assert found in published_numbers()
    assert found.trust == "source"


def test_what_nobody_published_is_none():
    (row,) = table_rows([made_cell("pixels", dataset="cifar-fs")])
    assert published(row, "cifar-fs 5w5s") is None
