"""A workspace knows what is there, what is done and what is missing."""

import shutil

import pytest
from helpers.tiny import BENCHMARK, write_tiny

from fewshot.errors import UserError
from fewshot.runner import workspace
from fewshot.runner.workspace import open_workspace


def test_a_finished_benchmark_needs_no_data_any_more(finished, data, load, monkeypatch):
    """`fewshot run` shows its table; what is unfinished, and nothing else, is an error."""
    monkeypatch.setattr(workspace.Workspace, "missing_data", lambda self, cell: ["cifar-fs"])
    parts = workspace.part_cells(load(), open_workspace(finished, data))
    assert (parts.runnable, parts.done, parts.holes) == ([], load(), [])
    with pytest.raises(UserError, match="no data set for these cells"):
        workspace.part_cells(load(), open_workspace(data / "elsewhere", data))


def test_cells_without_data_are_set_aside(data, load, tmp_path):
    several = load(BENCHMARK, "dataset=['tiny','mini-imagenet','glyphs']")
    parts = workspace.part_cells(several, open_workspace(tmp_path, data))
    assert {c.training.dataset for c in parts.runnable} == {"tiny", "glyphs"}  # one is drawn
    assert {c.training.dataset for c in parts.holes} == {"mini-imagenet"}
    assert parts.done == []
    assert parts.missing == ["mini-imagenet (`fewshot data fetch mini-imagenet`)"]
    elsewhere = load(BENCHMARK, "scoring.dataset=fc100")
    parts = workspace.part_cells([*load(), *elsewhere], open_workspace(tmp_path, data))
    assert [c.id for c in parts.holes] == [c.id for c in elsewhere]
    assert parts.missing == ["fc100 (`fewshot data fetch fc100`)"]


def test_cells_that_are_done_are_no_holes_when_their_data_go(finished, data, load, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    gone = load(BENCHMARK, "dataset=mini-imagenet")
    for cell, other in zip(load(), gone[:2], strict=False):
        folder = results / "bench"
        shutil.copytree(folder / cell.id, folder / other.id)
    parts = workspace.part_cells([*load(), *gone], open_workspace(results, data))
    assert [len(part) for part in parts] == [6, 2, 4, 1]


def test_no_data_at_all_is_a_mistake_that_names_what_to_fetch(tmp_path, load):
    for names in (["fc100"], ["fc100", "cifar-fs"]):
        with pytest.raises(UserError, match="no data set for these cells") as caught:
            workspace.part_cells(
                load(BENCHMARK, f"dataset={names}"), open_workspace(tmp_path, tmp_path)
            )
        assert all(f"`fewshot data fetch {name}`" in str(caught.value) for name in names)
    with pytest.raises(UserError, match="unknown data set 'tiyn': did you mean 'tiny'"):
        workspace.part_cells(
            load(BENCHMARK, "dataset=tiyn"), open_workspace(tmp_path, write_tiny(tmp_path))
        )
