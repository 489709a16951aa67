"""`fewshot table` and `compare`: what is shown, and mistakes in one line."""

import json
import sys

import pytest
from helpers.commands import is_one_line_of_error


def test_rows_are_compared(run, fewshot, tmp_path):
    run()
    folder = tmp_path / "results" / "bench"
    code, out, err = fewshot("compare", folder, "mtl", "protonet")
    assert (code, err) == (0, "")
    assert "tiny 3w1s: mtl/conv4 less protonet/conv4" in out
    assert "verdict" in out
    assert "over data      +" in out or "over data      −" in out
    every = fewshot("compare", folder, "--format", "json")[1]
    assert len(json.loads(every)) == 3
    run("--learner", "protonet", "--set", "label=fp", "--set", "recipe.precision=bf16")
    outcome = fewshot("compare", folder, "mtl", "protonet (fp)")
    assert is_one_line_of_error(outcome)
    assert "precision fp32 / bf16" in outcome[2]
    code, out, _ = fewshot("compare", folder, "mtl", "protonet (fp)", "--allow-mixed")
    assert (code, "(mixed: precision fp32 / bf16)" in out) == (0, True)


def test_a_table_says_what_its_intervals_are_over(run, fewshot, tmp_path):
    run()
    folder = tmp_path / "results"
    for over, words in (("episodes", "over test episodes"), ("data", "over images")):
        assert words in fewshot("table", folder, "--interval", over, "--format", "md")[1]
    assert "±" in fewshot("table", folder, "--published")[1]


@pytest.fixture(scope="module")
def fc100(committed_results):
    return committed_results / "fc100"


def test_a_table_is_chosen_sorted_filtered_and_grouped(fewshot, fc100):
    def lines(*arguments):
        code, out, err = fewshot("table", fc100, "--format", "md", *arguments)
        assert (code, err) == (0, "")
        return [line for line in out.splitlines() if line.startswith("|")]

    header, _, *rows = lines("--columns", "seeds,target", "--target", "0.5", "--sort", "learner")
    assert header == "| learner | backbone | seeds | to 50 % |"
    assert [row.split(" | ")[0] for row in rows] == ["| pixels", "| transfer"]
    only = lines("--where", "learner=pixels", "--where", "n_shot=5")[2:]
    assert [row.split(" | ")[0] for row in only] == ["| pixels"]
    assert "**conv4**" in lines("--group", "backbone")[2]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--columns", "scores,trainign"], "did you mean 'training'?"),
        (["--columns", "target"], "no target is set; --target"),
        (["--target", "65"], "target 65: an accuracy is above 0"),
        (["--sort", "leaner"], "did you mean 'learner'?"),
        (["--where", "learner=pixel"], "did you mean 'pixels'?"),
        (["--group", "backbones"], "did you mean 'backbone'?"),
        (["--format", "json", "--columns", "scores"], "json holds every field"),
    ],
)
def test_a_table_that_has_no_answer_is_one_line(fewshot, fc100, arguments, hint):
    outcome = fewshot("table", fc100, *arguments)
    assert is_one_line_of_error(outcome)
    assert hint in outcome[2]


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_whose_user_wants_it(
    fewshot, fc100, monkeypatch, terminal, environment, coloured
):
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    code, out, _ = fewshot("table", fc100)
    assert (code, "\x1b[" in out) == (0, coloured)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b"{"),
        ("run.json", b'{"schema": 1}'),
        ("episodes.parquet", b"nothing"),
    ],
)
def test_a_damaged_result_is_a_mistake_in_one_line(run, fewshot, tmp_path, name, content):
    run("--learner", "pixels")
    (file,) = (tmp_path / "results").rglob(name)
    file.write_bytes(content)
    outcome = fewshot("table", tmp_path / "results")
    assert is_one_line_of_error(outcome)
    assert name in outcome[2]


def test_columns_may_stand_apart(run, fewshot, tmp_path):
    run("--learner", "pixels")
    folder = tmp_path / "results"
    apart = fewshot("table", folder, "--columns", "scores, training", "--format", "md")
    assert apart == fewshot("table", folder, "--columns", "scores,training", "--format", "md")
