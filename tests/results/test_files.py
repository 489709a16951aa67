"""Files of a cell: whole or not there at all, and read back as they were written."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.cells import made_cell

from fewshot.errors import UserError
from fewshot.results.files import (
    CELL_FILES,
    DISJOINT,
    EXAMPLES,
    SCHEMA,
    is_complete,
    read_cells,
    read_curve,
    write_cell,
    write_curve,
    write_json,
)
from fewshot.results.records import RunRecord

RUN = made_cell("mine", label="é", trained=False).run
CURVE = [
    {"step": 5, "seconds": 0.1, "images": 40, "loss": 1.25, "lr": 0.1, "val_accuracy": 1 / 3},
    {"step": 10, "seconds": 0.3, "images": 80, "loss": 0.5, "lr": 1e-9, "val_accuracy": 0.75},
]
EPISODES = pd.DataFrame(
    {
        "episode": np.arange(3),
        "accuracy": [0.2, 1 / 3, 1.0],
        "nll": [1.5, 0.1, 1e-12],
        "adapt_ms": 0.5,
        "predict_ms": 0.25,
    }
)

PREDICTIONS = pd.DataFrame(
    {
        "episode": np.repeat(np.arange(2, dtype=np.int32), 3),
        "query": np.tile(np.arange(3, dtype=np.int32), 2),
        "predicted": np.array([0, 1, 2, 2, 1, 0], np.int16),
    }
)


def noted(**changes):
    return RunRecord.from_json({**RUN.json, **changes})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "bench" / RUN.cell


def files_below(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_a_cell_is_read_back_as_it_was_written(folder, tmp_path):
    write_cell(folder, RUN, CURVE, EPISODES)
    (cell,) = read_cells(tmp_path)
    assert cell.path == folder
    assert cell.run.json == {"schema": SCHEMA, **RUN.json}
    pd.testing.assert_frame_equal(cell.episodes, EPISODES, check_exact=True)
    assert read_curve(folder / "curve.csv") == CURVE
    assert files_below(folder) == sorted(CELL_FILES)


def test_disjoint_episodes_are_read_back_where_there_are_any(folder, tmp_path):
    write_cell(folder, RUN, CURVE, EPISODES)
    assert read_cells(tmp_path)[0].disjoint is None
    write_cell(folder, RUN, CURVE, EPISODES, EPISODES[:2])
    pd.testing.assert_frame_equal(read_cells(tmp_path)[0].disjoint, EPISODES[:2])
    assert files_below(folder) == sorted((*CELL_FILES, DISJOINT))


def test_predictions_are_read_back_where_there_are_any(folder, tmp_path):
    write_cell(folder, RUN, CURVE, EPISODES, EPISODES[:2])
    assert read_cells(tmp_path)[0].examples is None
    write_cell(folder, RUN, CURVE, EPISODES, examples=PREDICTIONS)
    (cell,) = read_cells(tmp_path)
    pd.testing.assert_frame_equal(cell.examples, PREDICTIONS, check_exact=True)
    assert cell.disjoint is None
    assert files_below(folder) == sorted((*CELL_FILES, EXAMPLES))


def test_cells_come_in_the_order_of_their_paths(folder, tmp_path):
    names = ["c", "a", "b"]
    for name in names:
        write_cell(tmp_path / "bench" / name, noted(cell=name), CURVE, EPISODES)
    assert [cell.run.cell for cell in read_cells(tmp_path)] == sorted(names)
    assert len(read_cells(tmp_path / "bench" / "b")) == 1


def test_a_learner_that_is_not_trained_has_a_curve_of_no_rows(tmp_path):
    write_curve(tmp_path / "curve.csv", [])
    header = "step,seconds,images,loss,lr,val_accuracy\n"
    assert (tmp_path / "curve.csv").read_text() == header
    assert read_curve(tmp_path / "curve.csv") == []


def test_json_files_are_readable_and_end_in_a_newline(tmp_path):
    write_json(tmp_path / "training.json", {"id": "x", "spent": {"steps": 3}})
    text = (tmp_path / "training.json").read_text()
    assert text.endswith("}\n")
    assert len(text.splitlines()) == 6
    assert json.loads(text) == {"id": "x", "spent": {"steps": 3}}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("there_before", [False, True])
def test_what_goes_wrong_while_writing_leaves_no_cell_and_the_old_one(
    folder, tmp_path, monkeypatch, error, there_before
):
    if there_before:
        write_cell(folder, noted(note="old"), CURVE, EPISODES)
    before = files_below(tmp_path)

    def half_written(frame, path, **options):
        path.write_bytes(b"PAR1")
        raise error("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", half_written)
    with pytest.raises(UserError if error is OSError else error):
        write_cell(folder, noted(note="new"), CURVE, EPISODES)
    assert files_below(tmp_path) == before
    assert is_complete(folder) == there_before
    assert not [p for p in folder.parent.iterdir() if ".tmp-" in p.name]
    if there_before:
        assert read_cells(tmp_path)[0].run.json["note"] == "old"
        pd.testing.assert_frame_equal(read_cells(tmp_path)[0].episodes, EPISODES)


def test_an_older_cell_is_replaced_whole(folder, tmp_path):
    write_cell(folder, noted(note="old"), CURVE, EPISODES)
    (folder / "stray.txt").write_text("of the old cell")
    write_cell(folder, noted(note="new"), [], EPISODES[:2])
    (cell,) = read_cells(tmp_path)
    assert (cell.run.json["note"], len(cell.episodes)) == ("new", 2)
    assert files_below(tmp_path / "bench") == sorted(f"{RUN.cell}/{f}" for f in CELL_FILES)


@pytest.mark.parametrize("missing", CELL_FILES)
def test_an_incomplete_folder_is_no_cell(folder, tmp_path, missing):
    write_cell(folder, RUN, CURVE, EPISODES)
    write_cell(tmp_path / "bench" / "whole", RUN, CURVE, EPISODES)
    assert is_complete(folder)
    (folder / missing).unlink()
    assert not is_complete(folder)
    assert [cell.path.name for cell in read_cells(tmp_path)] == ["whole"]


def test_a_folder_under_a_temporary_name_is_no_cell(folder, tmp_path):
    write_cell(folder, RUN, CURVE, EPISODES)
    folder.rename(folder.with_name(f".{folder.name}.tmp-1-abcd"))
    with pytest.raises(UserError, match="no finished cells"):
        read_cells(tmp_path)


def test_no_cells_is_a_mistake_of_the_user(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match=f"no finished cells in {folder}$"):
            read_cells(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b'{"schema": 1'),
        ("run.json", b"\xff\xfe\x00"),
        ("run.json", b""),
        ("run.json", b"{}"),
        ("run.json", b'{"schema": 2}'),
        ("run.json", b'[{"schema": 1}]'),
        ("episodes.parquet", b""),
        ("episodes.parquet", b"accuracy\n0.5\n"),
        ("episodes.parquet", b"PAR1" + bytes(100) + b"PAR1"),
        ("examples.parquet", b""),
        ("examples.parquet", b"PAR1" + bytes(100) + b"PAR1"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_one_clear_line(folder, tmp_path, name, content):
    write_cell(folder, RUN, CURVE, EPISODES)
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_cells(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(folder / name))
    assert len(message.splitlines()) == 1


def test_predictions_without_a_column_are_one_clear_line(folder, tmp_path):
    write_cell(folder, RUN, CURVE, EPISODES, examples=PREDICTIONS.drop(columns="predicted"))
    with pytest.raises(UserError, match=f"{folder / EXAMPLES}: no predicted$"):
        read_cells(tmp_path)


def test_a_truncated_parquet_file_is_one_clear_line(folder, tmp_path):
    write_cell(folder, RUN, CURVE, EPISODES)
    whole = (folder / "episodes.parquet").read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 3):
        (folder / "episodes.parquet").write_bytes(whole[:length])
        with pytest.raises(UserError, match="episodes.parquet: cannot be read") as caught:
            read_cells(tmp_path)
        assert len(str(caught.value).splitlines()) == 1


def test_the_schema_is_part_of_run_json(folder):
    write_cell(folder, RUN, CURVE, EPISODES)
    assert json.loads((folder / "run.json").read_text())["schema"] == SCHEMA
