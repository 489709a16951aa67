"""Results of a folder: one value for tables, pages, pandas and users."""

import numpy as np
import pandas as pd
import pytest
from helpers.cell_folders import curve
from helpers.cells import altered, made_cell
from helpers.commands import run_code_without_torch

from fewshot.errors import UserError
from fewshot.reporting.html import render_report
from fewshot.reporting.plots import draw_figures
from fewshot.reporting.tables import render
from fewshot.results.comparison import compare
from fewshot.results.files import write_cell
from fewshot.results.frame import Results, read_results
from fewshot.results.rows import table_rows


@pytest.fixture
def folder(tmp_path):
    cells = [
        made_cell("mtl", 0.6, 0.8, 0.7, train_s=20.0, images=500, label="mine"),
        made_cell("mtl", 0.2, 0.4, 0.3, train_s=30.0, seed=1, label="mine"),
        made_cell("pixels", 0.3, 0.2, 0.4, trained=False),
    ]
    for number, cell in enumerate(cells):
        points = curve(0.3, 0.5) if cell.run.training else []
        write_cell(tmp_path / "cells" / str(number), cell.run, points, cell.episodes)
    return tmp_path / "cells"


def test_a_frame_has_a_line_a_cell_in_fractions(folder):
    frame = read_results(folder).to_frame()
    assert frame["learner"].tolist() == ["mtl", "mtl", "pixels"]
    assert frame["accuracy"].tolist() == pytest.approx([0.7, 0.3, 0.3])
    half = 4.302652729911275 * np.std([0.6, 0.8, 0.7], ddof=1) / np.sqrt(3)  # t of 2 degrees
    assert frame["ci95"][0] == pytest.approx(half)
    first = frame.iloc[0]
    assert (first["dataset"], first["backbone"], first["label"]) == ("made", "conv4", "mine")
    assert (first["n_way"], first["n_shot"], first["n_query"], first["seed"]) == (5, 5, 15, 0)
    assert (first["images"], first["train_s"], first["episodes"]) == (500, 20.0, 3)
    assert (first["adapt_ms"], first["adapt_predict_ms"]) == (0.25, 0.75)
    assert frame["seed"].tolist() == [0, 1, 0]


def test_an_untrained_learner_has_holes_where_a_training_would_stand(folder):
    frame = read_results(folder).to_frame().set_index("learner")
    assert frame.loc["pixels", ["images", "train_s", "trained_on"]].isna().all()
    assert frame.loc["mtl", "train_s"].tolist() == [20.0, 30.0]


def test_a_cell_scored_elsewhere_says_both_data_sets():
    trained_on = {"name": "made", "fingerprint": "images-0"}
    cell = altered(made_cell(), {"config.scoring.dataset": "birds", "trained_on": trained_on})
    (line,) = Results([cell]).to_frame().to_dict("records")
    assert (line["dataset"], line["trained_on"]) == ("birds", "made")


def test_episode_scores_name_their_cell(folder):
    results = read_results(folder)
    scores = results.episodes()
    assert scores["cell"].unique().tolist() == [cell.run.cell for cell in results.cells]
    assert scores["accuracy"].tolist() == [0.6, 0.8, 0.7, 0.2, 0.4, 0.3, 0.3, 0.2, 0.4]
    assert scores.columns[0] == "cell"
    means = scores.groupby("cell")["accuracy"].mean()
    frame = results.to_frame().set_index("cell")
    pd.testing.assert_series_equal(means.sort_index(), frame["accuracy"].sort_index())


def test_results_stand_wherever_a_sequence_of_cells_does(folder, tmp_path):
    results = read_results(folder)
    cells = list(results)
    assert (len(results), repr(results)) == (3, "<Results of 3 cells>")
    assert [row.name for row in results.rows()] == [row.name for row in table_rows(cells)]
    assert render(results, "md") == render(cells, "md")
    assert len(compare(results, allow_mixed=True)) == 1
    assert draw_figures(results, tmp_path / "figures", only="pareto")
    assert "mtl" in render_report(results, tmp_path, {})


def test_a_folder_without_cells_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="no finished cells"):
        read_results(str(tmp_path))


def test_results_need_no_torch(folder):
    code = (
        f"from fewshot.results.frame import read_results; read_results({str(folder)!r}).to_frame()"
    )
    assert run_code_without_torch(code).returncode == 0
