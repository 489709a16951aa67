"""Tables: the right numbers in every format, holes left holes, and nothing unlike side by side."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers.cells import PROTOCOL, made_cell
from helpers.commands import cost_of_command
from helpers.golden_tables import FOLDER, GOLDEN, curve, golden_tables, timed

from fewshot.reporting.tables import COLUMNS, NOTES, render
from fewshot.results.files import read_cells, write_cell
from fewshot.results.rows import table_rows
from fewshot.results.timing import Machine
from fewshot.statistics.intervals import mean_ci95
from fewshot.units import HOLE


def lines_of(cells, form="md"):
    """The rows of a markdown table as lists of cells, without the rule below the header."""
    lines = [line for line in render(cells, form).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[:1] + rows[2:]


SHARED = (
    "Protocol: transductive no, batch norm running, views of an image 1, support copies 0, "
    "queries a class 15, "
    "trained on train, selection best, pre-training none, precision fp32."
)


def test_the_markdown_table():
    cells = [
        made_cell("protonet", 0.5, 0.75, 0.25, 0.5, n_shot=5),
        made_cell("protonet", 0.25, 0.25, 0.75, 0.25, n_shot=1),
        made_cell("transfer", 0.25, 0.25, 0.25, 0.5, n_shot=1),
    ]
    assert render(cells, "md") == (
        "| learner | backbone | made 5w1s | made 5w5s | training | images seen "
        "| episodes/s 5w5s | seeds |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| protonet | conv4 | **37.50 ± 39.78** | 50.00 ± 32.48 | 90 s | 12,345 | 1,333 | 1 |\n"
        "| transfer | conv4 | **31.25 ± 19.89** | – | 90 s | 12,345 | – | 1 |\n"
        "\n"
        "Accuracy in %, ± half-width of the 95 % interval over test episodes "
        "(not over training seeds). Bold (or *): not beaten by the best row of the same protocol "
        "(paired permutation test over the same episodes, 5 %, Holm's correction over all pairs). "
        f"{SHARED} 2,000 episodes of 15 queries a class. "
        "Timed on Abacus, 2 threads, torch 2.6, fp32. Commit unknown.\n"
    )


def test_rows_of_other_protocols_carry_letters_that_the_footer_explains():
    cells = [made_cell("protonet"), made_cell("maml", batch_norm="support"), made_cell("mtl")]
    header, *rows = lines_of(cells)
    marks = {row[0]: row[header.index("protocol")] for row in rows}
    assert marks["protonet"] == marks["mtl"] != marks["maml"]
    footer = render(cells, "md").splitlines()[-1]
    assert f"{marks['maml']}: batch norm support" in footer
    assert f"{marks['mtl']}: batch norm running" in footer
    assert "queries a class 15, trained on train" in footer  # what they share


def better(by, n=60):
    """Accuracies of `n` episodes, and others that are better by so much in each of them."""
    base = np.random.default_rng(0).uniform(0.3, 0.6, n)
    return base, base + by + np.random.default_rng(1).normal(0, 0.01, n)


def test_bold_are_the_rows_that_the_best_one_does_not_beat():
    low, high = better(0.1)
    near = high - np.random.default_rng(2).normal(0, 0.01, len(high))
    cells = [made_cell("low", *low), made_cell("high", *high), made_cell("near", *near)]
    assert {row[0]: "**" in row[2] for row in lines_of(cells)[1:]} == {
        "low": False,
        "high": True,
        "near": True,
    }
    text = {line.split()[1]: "*" in line for line in render(cells, "text").splitlines()[3:6]}
    assert text == {"low": False, "high": True, "near": True}
    assert render(cells, "latex").count(r"\textbf{") == 2
    assert {r["learner"]: r["unbeaten"] for r in json.loads(render(cells, "json"))} == {
        "low": False,
        "high": True,
        "near": True,
    }


def test_a_row_is_not_beaten_by_one_of_another_protocol():
    low, high = better(0.1)
    cells = [made_cell("low", *low), made_cell("same", *low), made_cell("high", *high, n_query=5)]
    bold = {row[0]: "**" in row[2] for row in lines_of(cells)[1:]}
    assert bold == {"low": True, "same": True, "high": False}  # and who has no rival is not bold


def test_the_floor_is_beaten_by_any_training():
    low, high = better(0.1)
    floor = made_cell("pixels", *low, trained=False, training_classes=None, selection=None)
    bold = {row[0]: "**" in row[2] for row in lines_of([floor, made_cell("mtl", *high)])[1:]}
    assert bold == {"pixels": False, "mtl": True}


def test_intervals_over_seeds_and_over_data_are_those_of_their_values():
    seeds = [(0.5, 0.7, 0.6), (0.6, 0.8, 0.9), (0.4, 0.6, 0.5)]
    disjoint = [(0.5, 0.8), (0.6, 0.6), (0.1, 0.7)]
    cells = [
        made_cell("mtl", *e, seed=s, disjoint=d)
        for s, (e, d) in enumerate(zip(seeds, disjoint, strict=True))
    ]
    (record,) = json.loads(render(cells, "json"))
    assert record["seeds_ci95"] == pytest.approx(mean_ci95(np.mean(seeds, axis=1)).ci95)
    over_data = mean_ci95(np.mean(disjoint, axis=0))
    assert (record["data_accuracy"], record["data_ci95"]) == pytest.approx(over_data)
    shown = {over: render(cells, "md", over=over) for over in NOTES}
    assert all(NOTES[over] in shown[over] for over in NOTES)
    assert f"{100 * over_data.mean:.2f} ± {100 * over_data.ci95:.2f}" in shown["data"]
    assert f"± {100 * record['seeds_ci95']:.2f}" in shown["seeds"]


def test_one_seed_and_cells_without_disjoint_episodes_have_no_such_interval():
    assert "50.00 ± –" in render([made_cell()], "md", over="seeds")
    assert lines_of([made_cell()])[1][2] == "50.00 ± 32.48"
    row = [
        line for line in render([made_cell()], "md", over="data").splitlines() if "proto" in line
    ]
    assert row[0].split("|")[3].strip() == HOLE


def test_published_numbers_stand_in_a_column_of_their_own():
    cells = [made_cell(dataset="cifar-fs"), made_cell("mine", dataset="cifar-fs")]
    table = render(cells, "md", show_published=True)
    header, *rows = [[c.strip() for c in x.split("|")[1:-1]] for x in table.splitlines()[:4]]
    at = header.index("cifar-fs 5w5s")
    assert header[at + 1 : at + 3] == ["published", "gap"]
    found = {row[0]: row[at : at + 3] for row in rows[1:]}
    assert found["protonet"] == ["**50.00 ± 32.48**", "72.0 ± 0.6", "−22.0"]
    assert found["mine"] == ["**50.00 ± 32.48**", HOLE, HOLE]
    assert "gap is measured less published: protonet conv4:" in table


def test_published_numbers_are_shown_only_when_asked_for():
    cells = [made_cell(dataset="cifar-fs")]
    assert "published" not in render(cells, "md")
    (record,) = json.loads(render(cells, "json"))
    assert (record["published_accuracy"], record["accuracy"]) == (0.72, 0.5)


@pytest.mark.parametrize("form", ["md", "text"])
def test_the_footer_names_every_machine_and_every_commit(form):
    clean, changed = ({"commit": 4 * c * 10, "changed": c == "b"} for c in "ab")
    cells = [made_cell("mtl", git=clean), made_cell("pixels", gpu="Big GPU", git=changed)]
    footer = " ".join(render(cells, form).split())
    assert "A: Abacus, 2 threads, torch 2.6, fp32; B: Big GPU, Abacus, 2 threads," in footer
    assert "Commit aaaaaaa, bbbbbbb with changes." in footer


def test_the_text_table_has_mean_interval_and_what_it_cost():
    text = render([made_cell("mtl", 0.5, 0.75, 0.25, 0.5, train_s=600.0)], "text")
    for part in ("mtl", "conv4", "made 5w5s", "50.00 ± 32.48", "10.0 min", "12,345", "1,333"):
        assert part in text
    assert "95 % interval" in text
    assert text.endswith("\n")
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("label", ["[bold]", "a [c=1] b", ":warning:"])
def test_a_label_stands_in_the_text_table_as_it_was_written(label):
    assert f"protonet ({label})" in render([made_cell(label=label)], "text")


def test_the_text_table_is_plain_text_wherever_it_is_written(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in render([made_cell()], "text")


def test_colour_adds_codes_and_changes_no_letter(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")  # which the command looks at, and nothing below it
    low, high = better(0.1)
    cells = [made_cell("low", *low), made_cell("high", *high), made_cell("hole", n_shot=1)]
    cells.append(timed(made_cell("disturbed", *low), others=0.2))
    plain, coloured = render(cells, "text"), render(cells, "text", colour=True)
    without = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [x.rstrip() for x in without.splitlines()] == plain.splitlines()
    (best,) = re.findall(r"\x1b\[1;32m([^\x1b]*)", coloured)
    assert best.strip().endswith("*")
    holes = re.findall(r"\x1b\[2m([^\x1b]*)", coloured)
    assert len(holes) == plain.count(f" {HOLE} ")
    assert {hole.strip() for hole in holes} == {HOLE}
    marked = re.findall(r"\x1b\[33m([^\x1b]*)", coloured)
    assert marked
    assert all(mark.strip().startswith("~") for mark in marked)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_width_is_kept_and_loses_no_number(width):
    text = render([made_cell("a-long-learner", backbone="resnet12")], "text", width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    body = [[part.strip() for part in x.split("│")[1:-1]] for x in lines if x.startswith("│")]
    cells = ["".join(parts) for parts in zip(*body, strict=True)]
    assert [c.replace(" ", "") for c in cells] == [
        *("a-long-learner", "resnet12", "50.00±32.48", "90s", "12,345", "1,333", "1")
    ]


def test_a_missing_cell_is_a_hole_and_is_averaged_over_nothing():
    cells = [
        made_cell("mtl", n_shot=1),
        made_cell("mtl", n_shot=5),
        made_cell("transfer", n_shot=1),
    ]
    header, mtl, transfer = lines_of(cells)
    assert transfer[header.index("made 5w5s")] == HOLE
    assert HOLE not in mtl
    assert [len(row.scores) for row in table_rows(cells)] == [2, 1]


def test_transductive_learners_are_marked():
    _, row = lines_of([made_cell(transductive=True)])
    assert row[0] == "protonet (transductive)"


TWO = [
    made_cell("protonet", 0.1, 0.7, 0.4, n_shot=5, label="a_b"),
    made_cell("protonet", 0.3, 0.6, 0.2, n_shot=1, label="a_b"),
    made_cell("pixels", 0.1, 0.1, 0.1, n_shot=1, trained=False),
]


ABACUS = "Abacus, 2 threads, torch 2.6, fp32"
ABACUS_HASH = Machine("Abacus", None, None, 2, None, None, "2.6", "fp32").fingerprint


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
            "accuracy": round(accuracy, 9),
            "episodes_ci95": round(ci95, 9),
            "seeds_ci95": None,
            "data_accuracy": None,
            "data_ci95": None,
            "unbeaten": True if n_shot == 1 else None,
            "episodes": 3,
            "seeds": 1,
            "trainings": int(trained),
            "trainings_timed": int(trained),
            "train_s": 90.0 if trained else None,
            "warmup_s": None,
            "cpu_s": None,
            "others": None,
            "machine": ABACUS if trained else None,
            "timing_fingerprint": ABACUS_HASH if trained else None,
            "images": 12345 if trained else None,
            "peak_memory_mb": None,
            "target": None,
            "target_s": None,
            "target_reached": None,
            "adapt_predict_ms": 0.75,
            "test_cpu_s": None,
            "test_others": None,
            "test_machine": ABACUS,
            "test_fingerprint": ABACUS_HASH,
            "test_peak_memory_mb": None,
            **PROTOCOL,
            "n_query": 15,
            "views": 1,
            **{f"published_{key}": None for key in ("accuracy", "ci95", "source", "trust", "note")},
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
    assert [set(row) for row in read] == [set(record) for record in expected]
    for row, record in zip(read, expected, strict=True):
        assert row == {k: "" if v is None else str(v) for k, v in record.items()}


def test_json_of_a_single_episode_is_still_json():
    """One episode has no interval; NaN is not JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    (record,) = json.loads(render([made_cell("mtl", 0.5)], "json"), parse_constant=refuse)
    assert record["episodes_ci95"] is None


def test_latex_is_a_tabular_with_special_characters_escaped():
    text = render([made_cell(label="50% & a_b #1 {x}"), made_cell("mtl", n_shot=1)], "latex")
    comment, begin, top, *_ = text.splitlines()
    assert comment.startswith("%")
    assert (begin, top) == (r"\begin{tabular}{llrrrrrr}", r"\toprule")
    assert "\\bottomrule\n\\end{tabular}\n\n\\medskip\n{\\footnotesize" in text
    assert r"protonet (50\% \& a\_b \#1 \{x\})" in text
    assert r"50.00 $\pm$ 32.48" in text
    assert HOLE not in text
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 3
    assert [row.replace(r"\&", "").count("&") for row in rows] == [7, 7, 7]


def test_names_that_latex_would_take_for_commands_are_text():
    label = "[1] \\x <é> α ≤ 字 ^~\x07"
    text = render([made_cell("[learner]", label=label), made_cell("*star")], "latex")
    assert "\n{}[learner]" in text
    assert "\n{}*star" in text
    assert r"\textbackslash{}x \textless{}é\textgreater{} $\alpha$ $\leq$ ? " in text
    assert r"\textasciicircum{}\textasciitilde{}?" in text


DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""
AWKWARD = "".join(map(chr, range(32, 127))) + "éüß ± × ≤ ≥ − – — αβγλμστ 字 ☃ ðþ"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["awkward", *(n for n in GOLDEN if n.endswith(".tex"))])
def test_the_latex_table_compiles_as_it_is(name, tmp_path):
    engine = shutil.which("tectonic") or shutil.which("pdflatex")
    if engine is None:
        pytest.skip("neither tectonic nor pdflatex is installed")
    if name == "awkward":
        rows = [made_cell(x, 0.5, 0.6, label=AWKWARD, backbone=AWKWARD) for x in ("[", "*", "a")]
        table = render(rows, "latex")
    else:
        table = (FOLDER / name).read_text()
    (tmp_path / "table.tex").write_text(DOCUMENT % table)
    stop = [] if "tectonic" in engine else ["-halt-on-error", "-interaction=nonstopmode"]
    done = subprocess.run(
        [engine, *stop, "table.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert (tmp_path / "table.pdf").stat().st_size > 5000
    assert "Missing character" not in done.stdout


@pytest.fixture(scope="module")
def tables():
    return golden_tables()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_tables_of_the_made_up_cells_are_the_golden_ones(name, tables):
    """`python tests/golden_tables.py` writes them again."""
    assert tables[name] == (FOLDER / name).read_text()


def test_no_golden_table_is_without_a_test():
    assert {path.name for path in FOLDER.iterdir()} == set(GOLDEN)


@pytest.mark.parametrize("form", ["text", "md", "latex", "csv", "json"])
def test_every_format_ends_in_one_newline(form):
    text = render(TWO, form)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_a_bar_in_a_label_does_not_add_a_column_to_markdown():
    table = render([made_cell(label="a|b")], "md").split("\n\n")[0]
    bars = [line.replace(r"\|", "").count("|") for line in table.splitlines()]
    assert len(set(bars)) == 1


def test_a_table_is_rendered_where_torch_cannot_be_imported(tmp_path):
    for cell in TWO:
        write_cell(tmp_path / cell.path, cell.run, [], cell.episodes)
    script = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "import fewshot.reporting.tables, fewshot.results.files\n"
        "from fewshot.cli.main import main\n"
        f"sys.argv = ['fewshot', 'table', {str(tmp_path)!r}, '--format', 'md']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == render(read_cells(tmp_path), "md")


@pytest.mark.slow
def test_500_cells_of_10_000_episodes_take_little_time_and_memory(tmp_path):
    rng = np.random.default_rng(0)
    n = 10_000
    for i in range(500):
        row, shot = divmod(i, 2)
        cell = made_cell(f"learner-{row}", n_shot=(1, 5)[shot], digest=str(shot))
        accuracy = rng.integers(20 + row % 7, 60, n) / 75
        frame = pd.DataFrame({"episode": np.arange(n), "accuracy": accuracy, "nll": rng.random(n)})
        points = curve(0.3, 0.5, 0.6)
        write_cell(tmp_path / f"{i:03}", cell.run, points, frame.assign(adapt_ms=0.2, predict_ms=1))
    seconds, gigabytes, printed = cost_of_command(
        "table", tmp_path, "--target", "0.5", "--columns", ",".join(COLUMNS)
    )
    assert seconds < 5
    assert gigabytes < 1
    assert printed.count("learner-") == 250
