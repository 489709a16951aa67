"""docs/benchmark_files.md names every key of a benchmark file, with its default."""

import json
import re
from dataclasses import MISSING, fields

import pytest
from helpers.learners import BACKBONES, LEARNERS
from helpers.paths import ROOT

from fewshot.harness.recipe import Recipe, Scoring
from fewshot.runner.benchmark import load_benchmark

PAGE = (ROOT / "docs" / "benchmark_files.md").read_text()


def section(title):
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def code(cell):
    return re.findall("`([^`]*)`", cell)


def defaults(rows):
    """Each key of table rows `| keys | defaults | ...` to its default as it is written."""
    found = {}
    for keys, written, *_ in rows:
        values = code(written) or [written]
        found |= dict(zip(code(keys), values, strict=True))
    return found


def rows(title):
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def is_written(value, text):
    """Whether the text stands for a default: as TOML, numbers by value."""
    if value is None:
        return text == "none"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(text) == value
    return json.loads(text) == (list(value) if isinstance(value, tuple) else value)


def own_rows(title, name):
    """The rows of a table by name: an empty first column goes on with the names above."""
    names, found = [], []
    for first, *rest in rows(title):
        names = code(first) or names
        if name in names:
            at = names.index(name)
            keys, written = code(rest[0]), code(rest[1]) or [rest[1]]
            # One key of several learners may have a default for each.
            per_name = len(keys) == 1 and len(written) == len(names) > 1
            found.append([rest[0], f"`{written[at]}`" if per_name else rest[1]])
    return found


@pytest.mark.parametrize(("title", "cls"), [("`recipe`", Recipe), ("`scoring`", Scoring)])
def test_tables_have_the_keys_and_their_defaults(title, cls):
    found = defaults(rows(title))
    assert set(found) == {f.name for f in fields(cls)}
    for f in fields(cls):
        assert is_written(f.default, found[f.name]), f.name


@pytest.mark.parametrize(
    ("title", "name", "config"),
    [
        *(("`learner_options`", name, cls.Config) for name, cls in LEARNERS.items()),
        *(("`backbone_options`", name, cls.Config) for name, cls in BACKBONES.items()),
    ],
)
def test_options_have_their_keys_and_defaults(title, name, config):
    found = defaults(own_rows(title, name))
    assert set(found) == {f.name for f in fields(config)}
    for f in fields(config):
        assert f.default is not MISSING
        if (name, f.name) == ("imaml", "inner_steps"):  # said in words
            assert f"`imaml` {f.default}" in section(title)
        else:
            assert is_written(f.default, found[f.name]), f.name


def test_the_example_is_a_benchmark(tmp_path):
    file = tmp_path / "example.toml"
    file.write_text(re.search("```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    cells = load_benchmark(str(file))
    assert len(cells) == 2 * (3 + 1)
    assert cells[-1].label == "mirrored"
