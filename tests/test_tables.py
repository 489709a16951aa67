"""Tables: the right numbers in every format, holes left holes, and nothing unlike side by side."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewshot.config import Cell, Recipe, Scoring, Training
from fewshot.errors import UserError
from fewshot.metrics import mean_ci95
from fewshot.results import CellResult, read_cells, write_cell
from fewshot.tables import HOLE, NOTE, column_names, render, table_rows


@dataclass(frozen=True)
class Options:
    """Options of a learner or backbone."""

    c: float = 1.0


def result(
    learner="protonet",
    *accuracies,
    backbone="conv4",
    dataset="made",
    n_way=5,
    n_shot=5,
    seed=0,
    c=1.0,
    label="",
    trained=True,
    transductive=False,
    train_s=90.0,
    fingerprint="images-0",
    digest="episodes-0",
    gpu=None,
    git=None,
) -> CellResult:
    """A cell by hand, with the fields of run.json that tables read."""
    recipe = Recipe(steps=10)
    training = Training(dataset, backbone, Options(), learner, Options(c), recipe, seed)
    cell = Cell("bench", training, Scoring(n_way, n_shot), label)
    accuracies = accuracies or (0.5, 0.75, 0.25, 0.5)
    spent = {"steps": 10, "images": 12345, "train_s": train_s, "validate_s": 1.0, "seconds": {}}
    run = {
        "cell": cell.id,
        "config": cell.resolved(),
        "dataset": {"name": dataset, "fingerprint": fingerprint},
        "episodes_digest": digest,
        "protocol": {"transductive": transductive},
        "training": {"id": training.id, "spent": spent, "shared": False} if trained else None,
        "host": {"processor": "Abacus", "gpu": gpu, "threads": 2, "versions": {"torch": "2.6"}},
        "git": git,
    }
    episodes = pd.DataFrame(
        {"accuracy": accuracies, "nll": 1.0, "adapt_ms": 0.25, "predict_ms": 0.5}
    )
    return CellResult(Path("bench") / cell.id, run, episodes)


def lines_of(cells, form="md"):
    """The rows of a markdown table as lists of cells, without the rule below the header."""
    lines = [line for line in render(cells, form).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[:1] + rows[2:]


def test_the_markdown_table():
    cells = [
        result("protonet", 0.5, 0.75, 0.25, 0.5, n_shot=5),
        result("protonet", 0.25, 0.25, 0.75, 0.25, n_shot=1),
        result("pixels", 0.25, 0.25, 0.25, 0.5, n_shot=1, trained=False),
    ]
    assert render(cells, "md") == (
        "| learner | backbone | made 5w1s | made 5w5s | training | images seen | ms/episode "
        "| seeds |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| protonet | conv4 | 37.50 ± 39.78 | 50.00 ± 32.48 | 90 s | 12,345 | 0.75 | 1 |\n"
        "| pixels | – | 31.25 ± 19.89 | – | – | – | 0.75 | 1 |\n"
        "\n"
        "Accuracy in %, ± half-width of the 95 % interval over test episodes "
        "(not over training seeds). 2,000 episodes of 15 queries a class. "
        "On Abacus, 2 threads, torch 2.6; commit unknown.\n"
    )


@pytest.mark.parametrize("form", ["md", "text"])
def test_the_footer_names_every_machine_and_every_commit(form):
    clean, changed = ({"commit": 4 * c * 10, "changed": c == "b"} for c in "ab")
    cells = [result("mtl", git=clean), result("pixels", gpu="Big GPU", git=changed)]
    footer = " ".join(render(cells, form).split())
    assert "On Abacus, 2 threads, torch 2.6; Big GPU, 2 threads, torch 2.6;" in footer
    assert "commit aaaaaaa, bbbbbbb with changes." in footer


def test_the_text_table_has_mean_interval_and_what_it_cost():
    text = render([result("mtl", 0.5, 0.75, 0.25, 0.5, train_s=600.0)], "text")
    for part in ("mtl", "conv4", "made 5w5s", "50.00 ± 32.48", "10.0 min", "12,345", "0.75"):
        assert part in text
    assert "95 % interval" in text
    assert text.endswith("\n")
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("label", ["[bold]", "a [c=1] b", ":warning:"])
def test_a_label_stands_in_the_text_table_as_it_was_written(label):
    assert f"protonet ({label})" in render([result(label=label)], "text")


def test_the_text_table_is_plain_text_wherever_it_is_written(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in render([result()], "text")


def test_a_narrow_width_is_kept_and_loses_no_number():
    text = render([result()], "text", width=70)
    assert max(map(len, text.splitlines())) <= 70
    assert "50.00" in text


def test_a_missing_cell_is_a_hole_and_is_averaged_over_nothing():
    cells = [result("mtl", n_shot=1), result("mtl", n_shot=5), result("transfer", n_shot=1)]
    header, mtl, transfer = lines_of(cells)
    assert transfer[header.index("made 5w5s")] == HOLE
    assert HOLE not in mtl
    assert [len(row.scores) for row in table_rows(cells)] == [2, 1]


def test_the_best_of_the_last_column_stands_first_and_holes_last():
    cells = [
        result("a-low", 0.2, 0.3),
        result("b-hole", 0.9, 0.9, n_shot=1),
        result("c-high", 0.8, 0.7),
        result("d-middle", 0.5, 0.5),
    ]
    names = ["c-high", "d-middle", "a-low", "b-hole"]
    assert [row.learner for row in table_rows(cells)] == names
    assert [row.learner for row in table_rows(cells[::-1])] == names


def test_equal_rows_stand_by_name():
    cells = [result("b"), result("a"), result("c")]
    assert [row.learner for row in table_rows(cells)] == ["a", "b", "c"]


def test_columns_stand_by_data_set_then_ways_then_shots():
    cells = [
        result(dataset=d, n_way=w, n_shot=s)
        for d, w, s in [("b", 5, 1), ("a", 20, 1), ("a", 5, 10), ("a", 5, 5)]
    ]
    columns = column_names(table_rows(cells))
    assert columns == ["a 5w5s", "a 5w10s", "a 20w1s", "b 5w1s"]


def test_seeds_make_one_row_whose_episodes_are_means_over_the_seeds():
    one, other = (0.2, 0.6, 0.4), (0.4, 0.2, 0.6)
    cells = [result("mtl", *one, train_s=10.0), result("mtl", *other, seed=7, train_s=30.0)]
    (row,) = table_rows(cells)
    mean, ci95, episodes = row.scores["made 5w5s"]
    assert (mean, ci95) == pytest.approx(mean_ci95(np.mean([one, other], axis=0)))
    assert (episodes, row.seeds, row.train_s, row.images) == (3, 2, 20.0, 12345)


def test_shots_of_one_training_make_one_row_that_counts_it_once():
    cells = [result(n_shot=1, train_s=10.0), result(n_shot=5, train_s=10.0)]
    (row,) = table_rows(cells)
    assert set(row.scores) == {"made 5w1s", "made 5w5s"}
    assert (row.train_s, row.seeds) == (10.0, 1)


def test_backbones_and_labels_make_rows_of_their_own():
    cells = [result(), result(backbone="resnet12"), result(label="long", c=2.0)]
    rows = {(row.name, row.backbone) for row in table_rows(cells)}
    assert rows == {("protonet", "conv4"), ("protonet", "resnet12"), ("protonet (long)", "conv4")}


def test_two_setups_without_a_label_make_two_rows():
    rows = table_rows([result("mtl", 0.5, 0.5), result("mtl", 0.9, 0.9, c=2.0)])
    assert [row.scores["made 5w5s"][0] for row in rows] == [0.9, 0.5]
    assert len({row.name for row in rows}) == 2
    assert all(row.seeds == 1 for row in rows)


def test_each_of_two_setups_keeps_its_shots_in_one_row():
    cells = [result("mtl", n_shot=shot, c=c) for shot in (1, 5) for c in (1.0, 2.0)]
    rows = table_rows(cells)
    assert [set(row.scores) for row in rows] == [{"made 5w1s", "made 5w5s"}] * 2


def test_each_of_two_setups_keeps_its_seeds_in_one_row():
    cells = [result("mtl", seed=seed, c=c) for seed in (0, 1, 2) for c in (1.0, 2.0)]
    assert [row.seeds for row in table_rows(cells)] == [3, 3]


def test_a_rival_in_one_column_does_not_tear_a_row_apart():
    cells = [result("mtl", n_shot=1), result("mtl", n_shot=5), result("mtl", n_shot=1, c=2.0)]
    assert sorted(len(row.scores) for row in table_rows(cells)) == [1, 2]


@pytest.mark.parametrize(
    ("unlike", "kind"), [({"fingerprint": "images-1"}, "images"), ({"digest": "x"}, "episodes")]
)
def test_cells_of_other_images_or_episodes_are_refused(unlike, kind):
    cells = [result("mtl"), result("protonet", **unlike)]
    with pytest.raises(UserError, match=f"different {kind}") as caught:
        render(cells, "text")
    for cell in cells:
        assert cell.run["cell"] in str(caught.value)


def test_other_columns_may_have_other_images_and_episodes():
    cells = [
        result(n_shot=1),
        result(n_shot=5, digest="episodes-5"),
        result(dataset="b", fingerprint="b", digest="b"),
    ]
    assert len(column_names(table_rows(cells))) == 3


def test_transductive_learners_are_marked():
    _, row = lines_of([result(transductive=True)])
    assert row[0] == "protonet (transductive)"


TWO = [
    result("protonet", 0.1, 0.7, 0.4, n_shot=5, label="a_b"),
    result("protonet", 0.3, 0.6, 0.2, n_shot=1, label="a_b"),
    result("pixels", 0.1, 0.1, 0.1, n_shot=1, trained=False),
]


def expected_records():
    """What csv and json must hold, as plain values."""

    def record(learner, backbone, label, n_shot, accuracies, trained):
        accuracy, ci95 = mean_ci95(np.array(accuracies))
        return {
            "learner": learner,
            "backbone": backbone,
            "label": label,
            "dataset": "made",
            "n_way": 5,
            "n_shot": n_shot,
            "accuracy": accuracy,
            "episodes_ci95": ci95,
            "episodes": 3,
            "seeds": 1,
            "train_s": 90.0 if trained else None,
            "images": 12345 if trained else None,
            "adapt_predict_ms": 0.75,
            "transductive": False,
        }

    return [
        record("protonet", "conv4", "a_b", 1, (0.3, 0.6, 0.2), True),
        record("protonet", "conv4", "a_b", 5, (0.1, 0.7, 0.4), True),
        record("pixels", HOLE, "", 1, (0.1, 0.1, 0.1), False),
    ]


def in_order(records):
    return sorted(records, key=lambda r: (r["learner"], int(r["n_shot"])))


def test_json_holds_every_score_as_a_fraction():
    assert in_order(json.loads(render(TWO, "json"))) == in_order(expected_records())


def test_csv_holds_the_same_as_json():
    read = in_order(csv.DictReader(io.StringIO(render(TWO, "csv"))))
    expected = in_order(expected_records())
    assert [list(row) for row in read] == [list(record) for record in expected]
    for row, record in zip(read, expected, strict=True):
        assert row == {k: "" if v is None else str(v) for k, v in record.items()}


def test_json_of_a_single_episode_is_still_json():
    """One episode has no interval; NaN is not JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    (record,) = json.loads(render([result("mtl", 0.5)], "json"), parse_constant=refuse)
    assert record["episodes_ci95"] is None


def test_latex_is_a_tabular_with_special_characters_escaped():
    text = render([result(label="50% & a_b #1 {x}"), result("mtl", n_shot=1)], "latex")
    assert text.startswith("\\begin{tabular}{llrrrrrr}\n\\toprule\n")
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")
    assert r"protonet (50\% \& a\_b \#1 \{x\})" in text
    assert r"50.00 $\pm$ 32.48" in text
    assert HOLE not in text
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 3
    assert [row.replace(r"\&", "").count("&") for row in rows] == [7, 7, 7]


@pytest.mark.parametrize("form", ["text", "md", "latex", "csv", "json"])
def test_every_format_ends_in_one_newline(form):
    text = render(TWO, form)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_a_bar_in_a_label_does_not_add_a_column_to_markdown():
    table = render([result(label="a|b")], "md").split("\n\n")[0]
    bars = [line.replace(r"\|", "").count("|") for line in table.splitlines()]
    assert len(set(bars)) == 1


def test_the_note_says_what_the_interval_is_over():
    assert "over test episodes" in NOTE
    assert "not over training seeds" in NOTE


def test_a_table_is_rendered_where_torch_cannot_be_imported(tmp_path):
    for cell in TWO:
        write_cell(tmp_path / cell.path, cell.run, [], cell.episodes)
    script = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "import fewshot.tables, fewshot.results\n"
        "from fewshot.cli import main\n"
        f"sys.argv = ['fewshot', 'table', {str(tmp_path)!r}, '--format', 'md']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == render(read_cells(tmp_path), "md")
