"""`fewshot run`: its table, its words, its exit codes."""

import json
import re

import pytest
from helpers.commands import is_one_line_of_error
from helpers.tiny import BROKEN, SHORT, write_near

from fewshot.learners import registry


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "",
        "training = 3",
        'defaults = 3\n[[training]]\nlearner = "mtl"',
        "[training]\nlearner = 'mtl'",
        SHORT.replace("steps = 3", "steps = 0"),
        SHORT.replace("steps = 3", "stesp = 3"),
        SHORT + '[[training]]\nlearner = "mtl"\n',
    ],
    ids=[
        "not toml",
        "empty",
        "training is a number",
        "defaults is a number",
        "one bracket",
        "no steps",
        "unknown key",
        "the same training twice",
    ],
)
def test_a_benchmark_that_is_not_one_is_a_mistake_in_one_line(run, benchmark, tmp_path, text):
    benchmark.write_text(text)
    assert is_one_line_of_error(run())
    assert not (tmp_path / "results").exists()


def test_unknown_data_and_too_few_images_are_found_before_training(run, tmp_path):
    for setting, hint in [
        ("dataset=tiyn", "did you mean 'tiny'?"),
        ("scoring.n_query=9", "class 'class-11' of the test split has 9 images"),
        ("recipe.seconds=-1", "recipe.seconds"),
    ]:
        outcome = run("--set", setting)
        assert is_one_line_of_error(outcome)
        assert hint in outcome[2]
    assert is_one_line_of_error(run("--device", "toaster"))
    assert not (tmp_path / "results").exists()


def test_dry_run_prints_ids_and_runs_nothing(run, tmp_path):
    code, out, err = run("--dry-run")
    assert (code, err.count("\n")) == (0, 1)
    cells, total = out.split("\n\n")
    ids = [line.split()[0] for line in cells.splitlines()]
    assert [re.sub("-[0-9a-f]{8}$", "", name) for name in ids] == [
        "tiny-conv4-pixels-3w1s-s0",
        "tiny-conv4-protonet-3w1s-s0",
        "tiny-conv4-mtl-3w1s-s0",
    ]
    assert all(line.split()[1:3] == ["to", "do"] for line in cells.splitlines())
    assert "training 27 images" in cells.splitlines()[1]
    assert total.startswith("to do: 3 cells, 2 trainings: 54 images, 0.0 TFLOP, ")
    assert not (tmp_path / "results").exists()


def test_run_prints_the_table_on_stdout_and_progress_on_stderr(run, fewshot, tmp_path):
    code, out, err = run()
    assert code == 0
    assert "tiny 3w1s" in out
    assert all(name in out for name in ("pixels", "protonet", "mtl"))
    assert "[1/3] tiny-conv4-pixels" in err
    assert "trained 3 steps" in err
    assert "[1/3]" not in out
    assert "tiny 3w1s" not in err
    cells, total = run("--dry-run")[1].split("\n\n")
    assert all(line.endswith("  done") for line in cells.splitlines())
    assert total == "to do: 0 cells, 0 trainings\n"
    again = run()
    assert (again[0], again[1]) == (0, out)
    assert again[2] == "3 of 3 cells were already done\n"
    assert fewshot("table", tmp_path / "results") == (0, out, "")
    records = json.loads(fewshot("table", tmp_path / "results", "--format", "json")[1])
    assert {record["learner"] for record in records} == {"pixels", "protonet", "mtl"}
    assert run("--learner", "pixels")[1].count("3w1s") == 1
    assert "protonet" not in run("--learner", "pixels")[1]


def test_a_missing_data_set_is_a_hole_that_is_named_before_and_after(run, benchmark):
    benchmark.write_text(SHORT.replace('"tiny"', '["tiny", "mini-imagenet", "fc100"]'))
    code, out, err = run("--learner", "protonet")
    assert code == 0
    lines = err.splitlines()
    assert lines[:2] == [
        "left out, not here: mini-imagenet (`fewshot data fetch mini-imagenet`)",
        "left out, not here: fc100 (`fewshot data fetch fc100`)",
    ]
    assert lines[-1] == (
        "2 of 3 cells wait for data: mini-imagenet (`fewshot data fetch mini-imagenet`), "
        "fc100 (`fewshot data fetch fc100`)"
    )
    assert "tiny 3w1s" in out
    assert "mini-imagenet" not in out
    again = run("--learner", "protonet")
    assert (again[0], again[1]) == (0, out)
    assert "1 of 3 cells were already done" in again[2]
    forecast = run("--learner", "protonet", "--dry-run")[1].splitlines()
    assert "no data  fc100 (`fewshot data fetch fc100`)" in forecast[2]
    assert forecast[-1].startswith("no data: 2 cells, 2 trainings")


@pytest.mark.parametrize("names", ["mini-imagenet", "['mini-imagenet', 'fc100']"])
def test_a_benchmark_without_any_of_its_data_is_a_mistake(run, tmp_path, names):
    outcome = run("--set", f"dataset={names}")
    assert is_one_line_of_error(outcome)
    assert "mini-imagenet (`fewshot data fetch mini-imagenet`)" in outcome[2]
    assert not (tmp_path / "results").exists()


def test_classes_trained_on_are_warned_of_before_anything_is_trained(run, data, tmp_path):
    write_near(data)
    code, out, err = run("--set", "scoring.dataset=near")
    assert code == 0
    words = "warning: tiny to near: 2 of the 4 test classes were trained on: class-00, class-03"
    assert err.splitlines()[0] == words
    assert err.count("warning") == 1
    assert "near 3w1s" in out
    assert "protonet (trained on tiny)" in out
    assert "with 2 of the 4 test classes" in " ".join(out.split())
    write_near(data, seen=[])
    assert "warning" not in run("--set", "scoring.dataset=near")[2]


def test_force_runs_finished_cells_again(run):
    run("--learner", "pixels")
    code, _, err = run("--learner", "pixels", "--force")
    assert code == 0
    assert "[1/1] tiny-conv4-pixels" in err
    assert "already done" not in err


def test_a_failed_cell_gives_exit_code_1_and_the_table_of_the_others(run, benchmark, monkeypatch):
    monkeypatch.setitem(registry.LEARNERS, "broken", "helpers.trainings:Broken")
    benchmark.write_text(BROKEN)
    code, out, err = run("--set", "scoring.n_shot=1")
    assert code == 1
    assert "RuntimeError: no luck" in err
    assert "1 cells failed: tiny-conv4-broken" in err
    assert "pixels" in out
    assert "broken" not in out
    code, out, err = run("--set", "scoring.n_shot=1", "--learner", "broken")
    assert (code, out) == (1, "")


def test_an_interrupt_says_how_to_go_on(run, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("fewshot.runner.run.evaluate", interrupt)
    code, out, err = run()
    assert (code, out) == (130, "")
    assert "run the same command again" in err
    assert "Traceback" not in err


def test_a_training_alone_scores_no_test_class_and_is_not_done_again(run, tmp_path):
    code, out, err = run("--learner", "protonet", "--train-only")
    assert (code, out) == (0, "")
    assert "val " in err
    assert "test accuracy" not in err
    assert not list((tmp_path / "results").rglob("run.json"))
    assert list((tmp_path / "results").rglob("curve.csv"))
    code, out, err = run("--learner", "protonet")
    assert (code, "test accuracy" in err) == (0, True)
    assert "val " not in err
    assert "protonet" in out


@pytest.mark.parametrize("file", ["run.json", "episodes.parquet"])
def test_a_damaged_cell_is_run_again(run, tmp_path, file):
    run("--learner", "pixels")
    (damaged,) = (tmp_path / "results").rglob(file)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    code, out, err = run("--learner", "pixels")
    assert (code, "test accuracy" in err) == (0, True)
    assert "pixels" in out


def test_a_dry_run_refuses_what_a_run_would(run):
    refused = run("--set", "scoring.n_way=50")
    assert is_one_line_of_error(refused)
    assert run("--set", "scoring.n_way=50", "--dry-run") == refused


@pytest.mark.parametrize("native", [True, False])
def test_a_run_says_when_bf16_is_emulated(run, monkeypatch, native):
    monkeypatch.setattr("fewshot.machine.computes_bf16", lambda: native)
    _, _, err = run("--learner", "protonet", "--set", "recipe.precision=bf16")
    assert ("this processor emulates bf16" in err) == (not native)
