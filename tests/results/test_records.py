"""Records: typed values of run.json and training.json, of today and of earlier versions."""

import json
from copy import deepcopy

import pytest
from helpers.cells import altered, made_cell

from fewshot.errors import UserError
from fewshot.results.files import read_training, write_json
from fewshot.results.records import RunRecord, TrainingRecord

RUN = made_cell("mtl").run.json
TRAINING = {**RUN["training"], "host": RUN["host"], "git": None}


def without(values, dotted):
    """A deep copy of nested values that lacks a key."""
    copied = deepcopy(values)
    *path, last = dotted.split(".")
    inner = copied
    for part in path:
        inner = inner[part]
    del inner[last]
    return copied


@pytest.fixture(scope="module")
def committed_records(committed_results):
    files = sorted(committed_results.glob("*/*/run.json"))
    return [json.loads(file.read_text()) for file in files]


def test_every_committed_record_is_read_and_would_be_written_as_it_was(committed_records):
    """Also those of the first versions, key by key and in their order."""
    assert len(committed_records) > 40
    for values in committed_records:
        record = RunRecord.from_json(values)
        assert json.dumps(record.json) == json.dumps(values)
        assert record.cell == values["cell"]
        if values["training"]:
            assert record.training.spent.train_s == values["training"]["spent"]["train_s"]


@pytest.mark.parametrize("n_query", [1, 15])
def test_what_early_records_lack_is_taken_from_where_they_have_it(n_query):
    changes = {
        "config.scoring.n_query": n_query,
        "config.training.learner_options.mirror": True,
        "training.spent.images": 777,
    }
    record = altered(made_cell("mtl"), changes).run
    assert not {"views", "n_query", "images"} & RUN["protocol"].keys()
    assert (record.protocol.views, record.protocol.n_query) == (2, n_query)
    assert record.protocol.images == 777
    assert record.trained_on == record.dataset
    assert record.training.host == record.host
    assert record.training.git is record.git
    assert record.config.scored_on == record.config.training.dataset
    unknown = (record.host.cores, record.training.spent.warmup_s, record.scoring.others)
    assert unknown == (None, None, None)


def test_what_later_records_say_is_not_overruled():
    changes = {
        "protocol.views": 3,
        "protocol.images": 5,
        "trained_on": {"name": "other", "fingerprint": "f"},
        "training.host": {**RUN["host"], "processor": "Slide rule"},
        "training.git": {"commit": "c", "changed": False},
        "config.scoring.dataset": "birds",
    }
    record = altered(made_cell("mtl"), changes).run
    assert (record.protocol.views, record.protocol.images) == (3, 5)
    assert record.trained_on.name == "other"
    assert record.training.host.processor == "Slide rule"
    assert (record.training.git.commit, record.git) == ("c", None)
    assert record.config.scored_on == "birds"


def test_a_floor_without_a_training_saw_no_images():
    record = made_cell("pixels", trained=False).run
    assert record.training is None
    assert record.protocol.images == 0


@pytest.mark.parametrize(
    "key",
    [
        "cell",
        "config",
        "config.training.learner",
        "config.scoring.n_shot",
        "dataset",
        "dataset.fingerprint",
        "episodes_digest",
        "protocol",
        "protocol.precision",
        "training",
        "training.spent.images",
        "host",
        "host.versions",
        "git",
    ],
)
def test_a_key_that_is_missing_is_named(key):
    with pytest.raises(UserError, match=f"^a/run.json: no {key}$"):
        RunRecord.from_json(without(RUN, key), "a/run.json")


@pytest.mark.parametrize(
    "key", ["config", "config.scoring", "training", "training.spent.train_s", "protocol", "host"]
)
@pytest.mark.parametrize("value", ["x", [], ["x"]])
def test_a_value_of_another_type_is_named(key, value):
    damaged = without(RUN, key)
    *path, last = key.split(".")
    inner = damaged
    for part in path:
        inner = inner[part]
    inner[last] = value
    with pytest.raises(UserError, match=f"^run.json: {key}: ") as caught:
        RunRecord.from_json(damaged)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("values", [None, 3, [], "run"])
def test_what_is_no_object_is_one_clear_line(values):
    with pytest.raises(UserError, match="^run.json: not a JSON object$"):
        RunRecord.from_json(values)


def test_setups_differ_in_all_but_the_seed_and_the_column():
    one = made_cell("mtl", n_shot=1, seed=0).run
    other = made_cell("mtl", n_shot=5, seed=3).run
    assert (one.setup, one.training_setup) == (other.setup, other.training_setup)
    assert made_cell("mtl", c=2.0).run.training_setup != one.training_setup
    queries = altered(made_cell("mtl", n_shot=1), {"config.scoring.n_query": 3}).run
    assert queries.training_setup == one.training_setup
    assert queries.setup != one.setup


def test_a_training_is_read_back_and_a_damaged_one_is_one_clear_line(tmp_path):
    path = tmp_path / "training.json"
    write_json(path, TRAINING)
    assert read_training(tmp_path) == TrainingRecord.from_json(TRAINING)
    assert read_training(tmp_path).json == TRAINING
    write_json(path, without(TRAINING, "spent.steps"))
    with pytest.raises(UserError, match=f"^{path}: no spent.steps$"):
        read_training(tmp_path)
    path.write_text("{")
    with pytest.raises(UserError, match=f"^{path}: not JSON"):
        read_training(tmp_path)
