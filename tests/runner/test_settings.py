"""Settings: a key and a value each, later layers over earlier ones."""

import numpy as np
import pytest
from helpers.benchmarks import TEXT, load

from fewshot.errors import UserError
from fewshot.runner.settings import merge, parse_settings, renamed


def test_each_value_knows_where_it_came_from():
    origins = load(TEXT, "recipe.lr=0.2")[0].origins
    assert origins["recipe.lr"] == "--set"
    assert origins["recipe.steps"] == "bench [defaults]"
    assert origins["learner_options.c"] == "bench [[training]]"
    assert origins["recipe.batch_size"] == origins["learner_options.deep"] == "default"


def test_values_are_toml_and_keys_with_dots_are_tables():
    settings = ["recipe.lr=0.1", "recipe.select=last", "seeds=[0, 1]", "label=a=b"]
    assert parse_settings(settings) == {
        "recipe": {"lr": 0.1, "select": "last"},
        "seeds": [0, 1],
        "label": "a=b",
    }


@pytest.mark.parametrize("wrong", [["recipe"], ["=1"], ["recipe=1", "recipe.lr=0.1"]])
def test_a_setting_without_a_key_or_below_a_value_is_a_mistake(wrong):
    with pytest.raises(UserError, match="--set recipe|--set =1"):
        parse_settings(wrong)


def test_later_layers_lie_over_earlier_ones_key_by_key():
    merged, origins = merge(({"a": {"b": 1, "c": 2}, "d": 3}, "one"), ({"a": {"b": 9}}, "other"))
    assert merged == {"a": {"b": 9, "c": 2}, "d": 3}
    assert origins == {"a.b": "other", "a.c": "one", "d": "one"}
    with pytest.raises(UserError, match="other: a is a value, not a table"):
        merge(({"a": 1}, "one"), ({"a": {"b": 2}}, "other"))


def test_a_dict_of_settings_has_values_as_they_are():
    settings = {"recipe.lr": np.float64(0.1), "recipe": {"images": None}, "label": "mit 😀"}
    assert parse_settings(settings) == {
        "recipe": {"lr": 0.1, "images": None},
        "label": "mit 😀",
    }
    assert type(parse_settings({"seeds": np.int64(3)})["seeds"]) is int
    assert parse_settings(None) == parse_settings(()) == {}
    assert parse_settings("recipe.lr=0.1") == {"recipe": {"lr": 0.1}}
    with pytest.raises(UserError, match="--set recipe.lr=2: recipe is a value, not a table"):
        parse_settings({"recipe": 1, "recipe.lr": 2})


def test_targets_are_named_by_data_sets():
    tables = {"targets": {"birds.py:BIRDS": 0.5}, "dataset": ["birds.py:BIRDS"], "label": "x.py:X"}
    found = renamed(tables, lambda key, text: "birds" if key == "dataset" else text)
    assert found == {"targets": {"birds": 0.5}, "dataset": ["birds"], "label": "x.py:X"}
