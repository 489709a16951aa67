"""run.json says what was run, on what, and what it cost."""

from importlib.metadata import version

import pytest

from fewshot.results.files import (
    read_cells,
)


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


def test_what_a_training_cost_and_who_else_was_there_is_written(finished):
    for cell in read_cells(finished):
        if cell.run.json["training"]:
            spent = cell.run.json["training"]["spent"]
            assert spent["warmup_s"] > 0
            assert spent["cpu_s"] > 0
            assert spent["others"] is None or 0 <= spent["others"] <= 1
        assert cell.run.json["scoring"]["cpu_s"] > 0
