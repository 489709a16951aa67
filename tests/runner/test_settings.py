"""Settings: a key and a value each, later layers over earlier ones."""

import pytest
from helpers.benchmarks import TEXT, load

from fewshot.errors import UserError
from fewshot.runner.settings import merge, parse_settings


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
