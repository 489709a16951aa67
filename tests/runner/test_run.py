"""A benchmark, cell by cell: whatever happens, what is done stays done and nothing is redone."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import numpy as np
import pytest
import torch
from helpers.cells import altered, made_cell
from helpers.learners import classes_of
from helpers.made_data import DATASETS
from helpers.runs import (
    CPU,
    CROSS,
    MAML,
    check,
    count_trainings,
    cross_cells,
    go,
    leftovers,
    outcome,
    states,
)
from helpers.tiny import BENCHMARK, BROKEN, SEEN, write_made, write_near, write_tiny
from helpers.trainings import Broken

from fewshot.backbones.precision import float32_products
from fewshot.episodes.sampling import SPLITS
from fewshot.episodes.tensors import Images
from fewshot.errors import UserError
from fewshot.harness.checkpoint import TrainingCheckpoint
from fewshot.harness.selection import DivergedError
from fewshot.learners.registry import LEARNERS
from fewshot.learners.transfer import Transfer
from fewshot.reporting.tables import render
from fewshot.results.files import (
    CELL_FILES,
    DISJOINT,
    EXAMPLES,
    TRAINING_FILES,
    TRAININGS,
    read_cells,
    read_curve,
    read_training,
)
from fewshot.results.protocol import unlike
from fewshot.results.rows import table_rows
from fewshot.runner import run as suite
from fewshot.runner import workspace
from fewshot.runner.benchmark import load_benchmark
from fewshot.runner.workspace import open_workspace


def broken(monkeypatch, error):
    """A learner by the name of `broken`, whose loss raises."""
    monkeypatch.setattr(Broken, "error", error)
    monkeypatch.setitem(LEARNERS, "broken", "helpers.trainings:Broken")


def test_a_finished_run_has_all_files_of_its_cells_and_trainings(finished, load):
    for cell in load():
        files = {p.name for p in (finished / "bench" / cell.id).iterdir()}
        assert files == {*CELL_FILES, DISJOINT, EXAMPLES}
        if cell.training.learner != "pixels":
            folder = finished / TRAININGS / cell.training.id
            assert {p.name for p in folder.iterdir()} == set(TRAINING_FILES)
    assert len(read_cells(finished)) == 6
    assert not leftovers(finished)


def test_run_json_says_what_was_run(finished, load):
    by_id = {c.run.json["cell"]: c for c in read_cells(finished)}
    for cell in load():
        run, episodes = by_id[cell.id].run.json, by_id[cell.id].episodes
        assert run["status"] == "done"
        assert run["config"] == cell.resolved()
        assert run["origins"]["recipe.steps"] == "bench [defaults]"
        assert run["origins"]["recipe.lr"] == "default"
        assert run["scoring"]["accuracy"] == pytest.approx(episodes.accuracy.mean())
        assert run["host"]["device"] == "cpu"
        assert run["host"]["versions"]["torch"] == version("torch")
        assert run["protocol"] == {
            "transductive": False,
            "batch_norm": "running",
            "views": 1,
            "support_copies": 0,
            "n_query": 2,
            "training_classes": "train" if run["training"] else None,
            "selection": "best" if run["training"] else None,
            "pretraining": None,
            "precision": "fp32",
            "images": run["training"]["spent"]["images"] if run["training"] else 0,
        }
        assert run["learner_digest"] is None
        assert len(episodes) == 20
        if cell.training.learner == "pixels":
            assert run["training"] is None
        else:
            assert run["training"]["spent"]["steps"] == 3


def test_every_learner_of_a_shape_met_the_same_episodes_and_images(finished):
    digests, fingerprints = {}, set()
    for cell in read_cells(finished):
        shot = cell.run.json["config"]["scoring"]["n_shot"]
        digests.setdefault(shot, set()).add(cell.run.json["episodes_digest"])
        fingerprints.add(cell.run.json["dataset"]["fingerprint"])
    assert [len(d) for d in digests.values()] == [1, 1]
    assert digests[1] != digests[5]
    assert len(fingerprints) == 1


def test_shots_share_one_training_and_each_cell_says_so(tmp_path, data, load, monkeypatch):
    trained = count_trainings(monkeypatch)
    cells = [cell for cell in load() if cell.training.learner == "protonet"]
    go(cells, tmp_path, data)
    assert trained == ["ProtoNet"]
    shared = {
        c.run.json["config"]["scoring"]["n_shot"]: c.run.json["training"]["shared"]
        for c in read_cells(tmp_path)
    }
    assert shared == {1: False, 5: True}
    assert {c.run.json["training"]["ran_for"] for c in read_cells(tmp_path)} == {cells[0].id}


MIRRORED = 'learner_options = { c = 100, mirror = true }\nlabel = "mirrored"\n'


TWICE = BENCHMARK.replace("steps = 3", "steps = 12").replace("validations = 1", "validations = 12")


def test_cells_with_other_test_only_options_share_a_training_whichever_comes_first(
    tmp_path, data, load
):
    """Validation, and with it the selection of weights, is that of the options' defaults."""
    head, plain = TWICE.rsplit("[[training]]", 1)
    parts = [f"[[training]]{plain}", f"[[training]]{plain}{MIRRORED}"]
    head = head.split("[[training]]")[0]
    curves, accuracies = [], []
    for order in (parts, parts[::-1]):
        results = tmp_path / str(len(curves))
        go(load(head + "".join(order)), results, data)
        cells = read_cells(results)
        assert len({cell.run.json["training"]["id"] for cell in cells}) == 1
        assert [
            c.run.json["protocol"]["views"] for c in cells if c.run.json["config"]["label"]
        ] == [2, 2]
        (curve,) = (read_curve(file) for file in results.glob("trainings/*/curve.csv"))
        curves.append([point["val_accuracy"] for point in curve])
        accuracies.append({c.run.json["cell"]: c.episodes["accuracy"].to_numpy() for c in cells})
    assert curves[0] == curves[1]
    assert accuracies[0].keys() == accuracies[1].keys()
    assert all((accuracies[1][cell] == found).all() for cell, found in accuracies[0].items())


def test_running_twice_does_nothing_the_second_time(finished, data, load, monkeypatch):
    trained, before, lines = count_trainings(monkeypatch), states(finished), []
    monkeypatch.setattr(suite, "evaluate", None)
    summary = go(load(), finished, data, lines.append)
    assert summary.skipped == [cell.id for cell in load()]
    assert (summary.done, summary.failed, trained, lines) == ([], [], [], [])
    assert states(finished) == before


def test_a_second_folder_gives_the_same_numbers(finished, tmp_path, data, load):
    """Also when cells come in another order, and the global random stream stood elsewhere."""
    torch.rand(3)
    go(load()[::-1], tmp_path, data)
    assert outcome(tmp_path) == outcome(finished)


def test_a_deleted_cell_alone_is_run_again_and_its_training_is_not(
    finished, tmp_path, data, load, monkeypatch
):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    trained, cell = count_trainings(monkeypatch), load()[3]
    shutil.rmtree(results / "bench" / cell.id)
    summary = go(load(), results, data)
    assert (summary.done, len(summary.skipped), trained) == ([cell.id], 5, [])
    assert outcome(results) == outcome(finished)


def test_an_incomplete_cell_and_an_incomplete_training_are_run_again(
    finished, tmp_path, data, load, monkeypatch
):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    cell = load()[4]
    (results / "bench" / cell.id / "episodes.parquet").unlink()
    (results / TRAININGS / cell.training.id / "checkpoint.pt").unlink()
    trained = count_trainings(monkeypatch)
    assert go(load(), results, data).done == [cell.id]
    assert trained == ["Transfer"]
    assert outcome(results) == outcome(finished)


def test_an_interrupt_while_training_costs_that_training_alone(
    finished, tmp_path, data, load, monkeypatch
):
    def interrupt(learner):
        if type(learner).__name__ == "Transfer":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        count_trainings(patch, interrupt)
        with pytest.raises(KeyboardInterrupt):
            go(load(), tmp_path, data)
    assert not leftovers(tmp_path)
    assert len(read_cells(tmp_path)) == 4
    trained = count_trainings(monkeypatch)
    summary = go(load(), tmp_path, data)
    assert (len(summary.skipped), len(summary.done), trained) == (4, 2, ["Transfer"])
    assert outcome(tmp_path) == outcome(finished)


def test_a_training_is_gone_on_with_from_its_last_note(finished, tmp_path, data, load, monkeypatch):
    """Notes after every step here; `force` begins anew."""
    monkeypatch.setattr(suite, "TrainingCheckpoint", partial(TrainingCheckpoint, every_s=0))
    loss, calls = Transfer.loss, 0

    def interrupted(learner, batch):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return loss(learner, batch)

    def journals():
        return [p for p in (tmp_path / TRAININGS).iterdir() if ".journal" in p.name]

    for force, expected in ((False, 1), (True, 0)):
        calls, lines = 0, []
        with monkeypatch.context() as patch:
            patch.setattr(Transfer, "loss", interrupted)
            with pytest.raises(KeyboardInterrupt):
                go(load(), tmp_path, data, force=force)
        assert len(journals()) == 1
        go(load(), tmp_path, data, lines.append, force)
        told = [line for line in lines if "goes on from step 2" in line]
        assert len(told) == expected
        assert not journals()
        assert outcome(tmp_path) == outcome(finished)
        runs = [c.run.json["training"] for c in read_cells(tmp_path) if c.run.json["training"]]
        assert max(run["spent"]["resumed"] for run in runs) == expected


KILLED = """
import os, signal, sys
from importlib.metadata import version
from pathlib import Path
import torch
from fewshot.results import files
from fewshot.runner import run
from fewshot.runner.benchmark import load_benchmark
from fewshot.runner.workspace import open_workspace
from fewshot.learners.transfer import Transfer

calls = 0
def kill_at(call, of):
    def spied(*arguments):
        global calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return of(*arguments)
    return spied

benchmark, folder, data, where = sys.argv[1:]
if where == "training":  # in the second step of the second training
    Transfer.loss = kill_at(2, Transfer.loss)
else:  # halfway through the files of a cell, with a training and a cell behind it
    files.write_curve = kill_at(4, files.write_curve)
place = open_workspace(Path(folder), Path(data))
run.run_cells(load_benchmark(benchmark), place, torch.device("cpu"), print)
"""


@pytest.mark.parametrize(("where", "left"), [("training", 4), ("writing", 3)])
def test_a_killed_run_goes_on_where_it_was(finished, tmp_path, data, load, where, left):
    benchmark, results = tmp_path / "bench.toml", tmp_path / "results"
    benchmark.write_text(BENCHMARK)
    command = [sys.executable, "-c", KILLED, benchmark, results, data, where]
    # As many threads as here: their number decides in which order sums are rounded.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(read_cells(results)) == left
    assert bool(leftovers(results)) == (where == "writing")
    summary = go(load(), results, data)
    assert (len(summary.skipped), len(summary.done), summary.failed) == (left, 6 - left, [])
    assert not leftovers(results)
    assert outcome(results) == outcome(finished)


def test_tf32_is_refused_without_a_gpu(tmp_path, data, load):
    with pytest.raises(UserError, match="precision 'tf32' needs a GPU"):
        go(load(BENCHMARK, "recipe.precision=tf32"), tmp_path / "out", data)
    assert not (tmp_path / "out").exists()


def test_cells_compute_in_their_precision_and_leave_the_settings_as_they_were(
    tmp_path, data, load, monkeypatch
):
    seen = []

    def settings():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    monkeypatch.setattr("fewshot.runner.run._run_cell", lambda *_: seen.append(settings()))
    before = settings()
    go(load()[:1], tmp_path, data)
    assert seen == [("highest", False)]
    with float32_products(tf32=True):
        assert settings() == ("high", True)
    assert settings() == before


def test_winograd_trains_to_the_same_accuracies(tmp_path, data, load):
    """Float32 rounds differently, but three steps from the same weights hardly part."""
    text = BENCHMARK.replace("filters = 4", "filters = 32")
    means = {}
    for way in ("direct", "winograd"):
        cells = load(text, "recipe.convolutions=" + way)[-2:]
        assert {cell.training.learner for cell in cells} == {"transfer"}
        assert not go(cells, tmp_path / way, data).failed
        means[way] = [c.episodes["accuracy"].mean() for c in read_cells(tmp_path / way)]
    # A query in fifty may fall on the other side.
    assert means["winograd"] == pytest.approx(means["direct"], abs=0.02)


def test_winograd_is_refused_on_a_gpu(tmp_path, data, load):
    cells, place = (
        load(BENCHMARK, "recipe.convolutions=winograd"),
        open_workspace(tmp_path / "out", data),
    )
    with pytest.raises(UserError, match="convolutions = 'winograd' is for CPUs"):
        suite.run_cells(cells, place, torch.device("meta"), print)
    assert not (tmp_path / "out").exists()


def test_the_memory_that_images_may_take_reaches_all_who_hold_them(
    tmp_path, data, load, monkeypatch
):
    """Training, validation and scoring alike."""
    held, make = [], Images.__init__

    def noted(self, source, device, memory_gb=None):
        held.append((source.split, memory_gb))
        make(self, source, device, memory_gb)

    monkeypatch.setattr(Images, "__init__", noted)
    cells = [cell for cell in load() if cell.training.learner == "protonet"]
    place = open_workspace(tmp_path, data, memory_gb=0.25)
    assert not suite.run_cells(cells, place, CPU, print).failed
    assert set(held) == {(split, 0.25) for split in SPLITS}


def test_what_a_training_cost_and_who_else_was_there_is_written(finished):
    for cell in read_cells(finished):
        if cell.run.json["training"]:
            spent = cell.run.json["training"]["spent"]
            assert spent["warmup_s"] > 0
            assert spent["cpu_s"] > 0
            assert spent["others"] is None or 0 <= spent["others"] <= 1
        assert cell.run.json["scoring"]["cpu_s"] > 0


@pytest.mark.parametrize("error", [RuntimeError("no luck"), ArithmeticError("no number")])
def test_a_cell_that_fails_leaves_the_others_done(tmp_path, data, load, monkeypatch, error):
    broken(monkeypatch, error)
    cells, lines = load(BROKEN), []
    summary = go(cells, tmp_path, data, lines.append)
    failed = [cell.id for cell in cells if cell.training.learner == "broken"]
    assert summary.failed == failed
    assert summary.done == [cell.id for cell in cells if cell.id not in failed]
    assert {c.run.json["cell"] for c in read_cells(tmp_path)} == set(summary.done)
    told = [line for line in lines if line.startswith("failed:")]
    assert len(told) == 2
    assert all(cell in line and str(error) in line for cell, line in zip(failed, told, strict=True))
    assert not leftovers(tmp_path)
    assert not any("broken" in p.name and p.is_dir() for p in (tmp_path / TRAININGS).iterdir())


def test_a_training_that_diverges_fails_its_cells_once_and_keeps_its_last_good_weights(
    tmp_path, data, load, monkeypatch
):
    first = {"weight": torch.ones(3)}
    broken(monkeypatch, DivergedError(float("nan"), 9, 4, first, []))
    cells, lines = load(BROKEN), []
    summary = go(cells, tmp_path, data, lines.append)
    lost = [cell for cell in cells if cell.training.learner == "broken"]
    assert summary.failed == [cell.id for cell in lost]
    assert len(summary.done) == len(cells) - len(lost)
    assert (
        lines.count(
            f"failed: {lost[1].id}: the loss became nan by step 9; the last good "
            "weights are those of step 4"
        )
        == 1
    )
    assert not any("Traceback" in line for line in lines)
    folder = tmp_path / "diverged" / lost[0].training.id
    assert torch.equal(torch.load(folder / "checkpoint.pt")["weight"], first["weight"])
    assert json.loads((folder / "diverged.json").read_text())["step"] == 9


def test_a_cell_that_failed_is_tried_again_by_the_next_run(tmp_path, data, load, monkeypatch):
    broken(monkeypatch, RuntimeError("no luck"))
    go(load(BROKEN), tmp_path, data)
    monkeypatch.setitem(LEARNERS, "broken", LEARNERS["protonet"])
    summary = go(load(BROKEN), tmp_path, data)
    assert (len(summary.skipped), len(summary.done), summary.failed) == (4, 2, [])


def test_force_runs_everything_again_each_training_once(
    finished, tmp_path, data, load, monkeypatch
):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    before, trained = states(results), count_trainings(monkeypatch)
    summary = go(load(), results, data, force=True)
    after = states(results)
    assert (len(summary.done), summary.skipped) == (6, [])
    assert trained == ["ProtoNet", "Transfer"]
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in before)
    assert outcome(results) == outcome(finished)


def test_other_images_make_a_done_cell_and_its_training_undone(
    finished, tmp_path, load, monkeypatch
):
    results, other = tmp_path / "results", write_tiny(tmp_path, seed=1)
    shutil.copytree(finished, results)
    trained = count_trainings(monkeypatch)
    summary = go(load(), results, other)
    assert (len(summary.done), trained) == (6, ["ProtoNet", "Transfer"])
    fingerprints = {c.run.json["dataset"]["fingerprint"] for c in read_cells(results)}
    assert len(fingerprints) == 1
    assert fingerprints != {read_cells(finished)[0].run.json["dataset"]["fingerprint"]}
    assert {read_training(p.parent).fingerprint for p in results.rglob("training.json")} == (
        fingerprints
    )


def test_a_changed_recipe_is_another_cell_and_another_training(
    finished, tmp_path, data, load, monkeypatch
):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    trained = count_trainings(monkeypatch)
    cells = [c for c in load(BENCHMARK, "recipe.lr=0.2") if c.training.learner == "protonet"]
    assert len(go(cells, results, data).done) == 2
    assert trained == ["ProtoNet"]
    assert len(read_cells(results)) == 8


def test_the_test_split_is_opened_after_training_which_sees_train_and_val_alone(
    tmp_path, data, load, monkeypatch
):
    events = []
    open_source, train, evaluate = workspace.open_source, suite.train, suite.evaluate

    def spied_open(name, split, *place):
        events.append(f"open {split}")
        return open_source(name, split, *place)

    def spied_train(learner, source, *arguments):
        events.append(f"train on {source.split}")
        trained = train(learner, source, *arguments)
        events.append("trained")
        return trained

    def spied_evaluate(learner, source, *arguments, **options):
        events.append(f"evaluate on {source.split}")
        return evaluate(learner, source, *arguments, **options)

    monkeypatch.setattr(workspace, "open_source", spied_open)
    monkeypatch.setattr(suite, "train", spied_train)
    monkeypatch.setattr(suite, "evaluate", spied_evaluate)
    cell = next(cell for cell in load() if cell.training.learner == "protonet")
    go([cell], tmp_path, data)
    end = events.index("trained")
    assert set(events[:end]) == {"open train", "open val", "train on train", "evaluate on val"}
    assert events[-2:] == ["open test", "evaluate on test"]
    assert not any("test" in event for event in events[:-2])


def test_a_training_is_the_same_whatever_the_test_images_are(tmp_path, data, load):
    """Its source maps the images of all splits: none but its own may be read."""
    others = write_tiny(tmp_path / "others", other_test_images=True)
    cells = [cell for cell in load() if cell.training.learner != "pixels"]
    found = []
    for name, images in (("one", data), ("other", others)):
        go(cells, tmp_path / name, images)
        trainings = [tmp_path / name / TRAININGS / cell.training.id for cell in cells]
        found.append([torch.load(t / "checkpoint.pt", weights_only=True) for t in trainings])
    for one, other in zip(*found, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    one, other = (outcome(tmp_path / name) for name in ("one", "other"))
    assert one[1] == other[1]  # the curves
    assert one[0] != other[0]  # and yet the test images are others


def test_a_cell_scores_the_selected_weights(tmp_path, data, load):
    cell = next(cell for cell in load() if cell.training.learner == "protonet")
    go([cell], tmp_path, data)
    folder = tmp_path / TRAININGS / cell.training.id
    learner = suite.build_learner(
        cell.training, classes_of("protonet"), workspace.open_source("tiny", "train", data, {}), CPU
    )
    learner.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True))
    source = workspace.open_source("tiny", "test", data, {})
    score = suite.evaluate(learner, source, cell.scoring, suite.AUGMENTS["none"], CPU)
    (written,) = read_cells(tmp_path)
    assert written.episodes.accuracy.tolist() == score.episodes.accuracy.tolist()
    assert written.run.episodes_digest == score.digest


def test_devices_are_chosen_by_name():
    assert suite.choose_device("cpu", None).type == "cpu"
    assert suite.choose_device("auto", None).type in ("cpu", "cuda")
    with pytest.raises(UserError, match="device 'toaster'"):
        suite.choose_device("toaster", None)


@pytest.mark.parametrize("mode", ["support", "query", "running"])
def test_gradient_learners_run_and_say_whose_statistics_they_used(tmp_path, data, load, mode):
    options = f'{{ n_way = 3, batch_norm = "{mode}", test_inner_steps = 2 }}'
    cells = [
        c for c in load(MAML.replace("{ n_way = 3 }", options)) if c.training.learner == "maml"
    ]
    go(cells, tmp_path, data)
    for cell in read_cells(tmp_path):
        protocol = cell.run.json["protocol"]
        assert (protocol["batch_norm"], protocol["transductive"]) == (mode, mode == "query")
        assert cell.run.json["training"]["spent"]["steps"] == 3


def runs_by_data_set(results):
    return {c.run.json["dataset"]["name"]: c.run.json for c in read_cells(results)}


def test_a_training_is_scored_on_another_data_set_and_says_so(both, tmp_path, load, monkeypatch):
    trained = count_trainings(monkeypatch)
    summary = go(cross_cells(load, "protonet"), tmp_path / "results", both)
    assert (len(summary.done), trained) == (2, ["ProtoNet"])
    runs = runs_by_data_set(tmp_path / "results")
    prints = {
        name: workspace.open_source(name, "val", both, {}).fingerprint for name in ("tiny", "near")
    }
    for name, run in runs.items():
        assert run["dataset"] == {"name": name, "fingerprint": prints[name]}
        assert run["trained_on"] == {"name": "tiny", "fingerprint": prints["tiny"]}
    assert runs["tiny"]["test_classes_trained_on"] == []
    assert runs["near"]["test_classes_trained_on"] == SEEN
    assert runs["tiny"]["protocol"]["training_classes"] == "train"
    words = "train of tiny with 2 of the 4 test classes"
    assert runs["near"]["protocol"]["training_classes"] == words


def test_it_is_scored_on_the_test_classes_of_the_other(both, tmp_path, load, monkeypatch):
    met, evaluate = [], suite.evaluate

    def spied(learner, source, *arguments, **options):
        met.append((source.dataset, source.split))
        return evaluate(learner, source, *arguments, **options)

    monkeypatch.setattr(suite, "evaluate", spied)
    go(cross_cells(load, "protonet"), tmp_path / "results", both)
    assert met == [("tiny", "val"), ("tiny", "test"), ("near", "test")]


def test_pixels_are_scaled_as_the_backbone_knows_them(both, tmp_path, load, monkeypatch):
    """And by the constants of its own data set for a learner that was never trained."""
    scaled, evaluate, open_source = {}, suite.evaluate, workspace.open_source

    def with_constants(name, split, *place):
        means = {"tiny": (0.1, 0.2, 0.3), "near": (0.4, 0.5, 0.6)}
        source = open_source(name, split, *place)
        return replace(source, mean=means[name], std=means[name][::-1])

    def spied(learner, source, *arguments, **options):
        if source.split == "test":
            scaled[type(learner).__name__, source.dataset] = (source.mean[0], source.std[0])
        return evaluate(learner, source, *arguments, **options)

    monkeypatch.setattr(workspace, "open_source", with_constants)
    monkeypatch.setattr(suite, "evaluate", spied)
    go(cross_cells(load, "protonet", "pixels"), tmp_path / "results", both)
    assert scaled == {
        ("Pixels", "tiny"): (0.1, 0.3),
        ("Pixels", "near"): (0.4, 0.6),
        ("ProtoNet", "tiny"): (0.1, 0.3),
        ("ProtoNet", "near"): (0.1, 0.3),
    }


def test_other_images_of_either_data_set_make_the_cell_undone(both, tmp_path, load, monkeypatch):
    cells, results = cross_cells(load, "protonet"), tmp_path / "results"
    go(cells, results, both)
    trained = count_trainings(monkeypatch)
    write_near(both, seed=8)
    assert go(cells, results, both).done == [cells[1].id]
    assert trained == []  # on what has not changed
    write_tiny(both, seed=1)
    assert go(cells, results, both).done == [cell.id for cell in cells]
    assert trained == ["ProtoNet"]
    assert len(go(cells, results, both).skipped) == 2


def test_cells_of_the_time_before_other_data_sets_are_still_done(finished, tmp_path, data, load):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    for file in results.rglob("run.json"):
        run = json.loads(file.read_text())
        del run["trained_on"], run["test_classes_trained_on"], run["config"]["scoring"]["dataset"]
        file.write_text(json.dumps(run))
    assert len(go(load(), results, data).skipped) == 6
    assert [row.name for row in table_rows(read_cells(results))] == [
        row.name for row in table_rows(read_cells(finished))
    ]


def test_a_row_scored_elsewhere_stands_apart_and_is_not_compared(both, tmp_path, load):
    own = [c for c in load(CROSS, "dataset=near") if c.training.learner == "protonet"]
    go([*cross_cells(load, "protonet", "transfer"), *own], tmp_path / "results", both)
    found = read_cells(tmp_path / "results")
    rows = {row.name: row for row in table_rows(found)}
    assert {name: list(row.scores) for name, row in rows.items()} == {
        "protonet": ["near 3w5s", "tiny 3w5s"],
        "transfer": ["tiny 3w5s"],
        "protonet (trained on tiny)": ["near 3w5s"],
        "transfer (trained on tiny)": ["near 3w5s"],
    }
    own = rows["protonet"].scores["near 3w5s"]
    one, other = (
        rows[f"{name} (trained on tiny)"].scores["near 3w5s"] for name in ("protonet", "transfer")
    )
    assert unlike(own.protocol, one.protocol) == [
        "trained on train / train of tiny with 2 of the 4 test classes"
    ]
    assert unlike(one.protocol, other.protocol) == []
    table = " ".join(render(found, "text").split())
    assert "trained on train of tiny with 2 of the 4 test classes" in table


def test_published_numbers_do_not_stand_beside_rows_trained_elsewhere():
    cell = made_cell(dataset="cifar-fs")
    assert table_record(cell)["published_accuracy"] == 0.72
    elsewhere = altered(cell, {"protocol.training_classes": "train of mini-imagenet"})
    assert table_record(elsewhere)["published_accuracy"] is None


def table_record(cell):
    (record,) = json.loads(render([cell], "json"))
    return record


def small(cell):
    """The same cell on a backbone of a few channels."""
    options, training = cell.training.backbone_options, cell.training
    narrow = {"filters": 4} if training.backbone == "conv4" else {"widths": (4, 4, 4, 4)}
    return replace(cell, training=replace(training, backbone_options=replace(options, **narrow)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:iMAML")
@pytest.mark.parametrize("name", ["paper", "tiered_imagenet"])
def test_the_large_benchmarks_run_on_what_data_are_there(name, tmp_path):
    """On noise, a step of each training; every learner of the file and both shots."""
    there = {"paper": "cifar-fs", "tiered_imagenet": "tiered-imagenet"}[name]
    source = DATASETS[there]
    classes = sorted(c for part in SPLITS for c in source.split().classes(part))
    rng, per_class = np.random.default_rng(0), 21
    shape = (len(classes) * per_class, 16, 16, 3)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    data = write_made(tmp_path, there, dict.fromkeys(classes, per_class), images, None)
    settings = ["recipe.steps=1", "recipe.validations=1", "recipe.val_episodes=2"]
    settings += ["scoring.episodes=2", "recipe.batch_size=4", "recipe.episodes_per_step=1"]
    cells = [small(cell) for cell in load_benchmark(name, settings=settings)]
    parts = workspace.part_cells(cells, open_workspace(tmp_path, data))
    assert {c.training.dataset for c in parts.runnable} == {there}
    assert {c.training.learner for c in parts.runnable} == {c.training.learner for c in cells}
    assert check(parts.runnable, data) == []
    lines = []
    summary = go(parts.runnable, tmp_path / "results", data, lines.append)
    assert summary.failed == [], "\n".join(lines)
    assert len(summary.done) == len(parts.runnable)
    columns = {c for row in table_rows(read_cells(tmp_path / "results")) for c in row.scores}
    assert columns == {f"{there} 5w1s", f"{there} 5w5s"}
