"""The report: the right numbers, every name as text, nothing from outside, the same bytes again."""

import hashlib
import json
import math
import re
import shutil
import sys
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.cells import altered, made_cell
from helpers.commands import cost_of_command, run_without_torch
from helpers.pages import (
    CURVE,
    PER_CLASS,
    SPLIT,
    answered,
    digest_of,
    on_disk,
    scored_on,
)
from PIL import Image

from fewshot.data import import_dataset
from fewshot.data.catalogue import known_datasets
from fewshot.data.sources.source import Reading
from fewshot.data.splits import load_split, parse_split
from fewshot.data.store import open_store, write_store
from fewshot.episodes.sampling import EpisodeShape, draw_episode
from fewshot.errors import UserError
from fewshot.reporting import html
from fewshot.reporting.html import examples, verdicts
from fewshot.reporting.html.details import score_details
from fewshot.reporting.html.figures import figure_data
from fewshot.reporting.html.headline import headline_table
from fewshot.reporting.html.literature import published_lines
from fewshot.reporting.published import published_numbers
from fewshot.reporting.tables import View, render
from fewshot.results.comparison import compare
from fewshot.results.files import read_cells, write_cell
from fewshot.results.rows import table_rows
from fewshot.units import HOLE

MOST_BYTES = 8_000_000
NOWHERE = Path("no-such-folder")
EVIL = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
    "a & b",
]


class Page(HTMLParser):
    """The parts of a page that tests ask about, read as a browser would read them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.scripts, self.text = [], [], [], []
        self.tables, self.policy = {}, ""
        self._open, self._table = [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        self._open.append(tag)
        self.links += [found[name] for name in ("href", "src", "action", "data") if name in found]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        if tag == "table":
            self._table = self.tables.setdefault(found.get("id") or len(self.tables), [])
        if tag == "tr":
            self._table.append([])
        if tag in ("td", "th"):
            self._table[-1].append("")
        if tag == "script":
            self.scripts.append((found.get("type"), ""))

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, text):
        if "script" in self._open:
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + text)
        elif "style" not in self._open:
            self.text.append(text)
        if {"td", "th"} & set(self._open):
            self._table[-1][-1] += text


def render_report(cells, data_dir):
    return html.render_report(cells, data_dir, known_datasets())


def data_set_examples(rows, data_dir):
    return examples.data_set_examples(rows, data_dir, known_datasets())


def page_of(cells, data_dir=NOWHERE):
    return Page(render_report(cells, data_dir))


@pytest.fixture
def cells(tmp_path):
    made = [
        made_cell("mtl", 0.6, 0.9, 0.7, n_shot=5),
        made_cell("mtl", 0.4, 0.5, 0.6, n_shot=1),
        made_cell("maml", 0.5, 0.6, 0.9, n_shot=5, batch_norm="query", transductive=True),
        made_cell("pixels", 0.3, 0.2, 0.4, n_shot=1, trained=False),
    ]
    return on_disk(made, tmp_path)


def test_the_headline_has_the_numbers_of_the_table(cells):
    header, *rows = page_of(cells).tables["results"]
    view = View(columns=("scores", "training", "images", "ms/episode", "seeds", "protocol"))
    markdown = render(cells, "md", view=view)
    expected = [line for line in markdown.splitlines() if line.startswith("|")]
    table = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in expected]
    places = {name: table[0].index(name) for name in table[0]}
    shown = [row for row in rows if row]
    assert len(shown) == len(table) - 2
    for row, line in zip(shown, table[2:], strict=True):
        found = dict(zip((h.strip() for h in header), (c.strip() for c in row), strict=True))
        for name in ("made 5w1s", "made 5w5s", "training", "images seen", "ms/episode", "seeds"):
            without_words = re.sub(r" (not run|none)$", "", found[name].strip("* "))
            of_table = "ms/episode 5w5s" if name == "ms/episode" else name
            assert without_words == line[places[of_table]], name
        assert found["protocol"] == line[places["protocol"]]


def test_bold_are_those_that_the_table_has_bold():
    base = np.random.default_rng(0).uniform(0.3, 0.6, 60)
    low, high = made_cell("low", *base), made_cell("high", *(base + 0.1))
    lines = {line.row.name: line for line in headline_table(table_rows([low, high])).lines}
    assert {name: line.scores[0].unbeaten for name, line in lines.items()} == {
        "low": False,
        "high": True,
    }


def test_a_hole_is_visible_named_and_counted(cells):
    page = page_of(cells)
    holes = [attrs for tag, attrs in page.tags if tag == "td" and "hole" in attrs.get("class", "")]
    assert len(holes) == 2  # maml at 1 shot, pixels at 5
    assert all(hole["data-key"] == "" for hole in holes)
    assert "2 holes" in "".join(page.text)
    assert sum("not run" in cell for row in page.tables["results"] for cell in row) == 2


def test_peak_memory_is_the_largest_that_the_cells_report():
    cells = [
        altered(
            made_cell("mtl", n_shot=shot),
            {"training.peak_memory_mb": training, "scoring.peak_memory_mb": test},
        )
        for shot, training, test in ((1, 700, 300), (5, 600, 400))
    ]
    (line,) = headline_table(table_rows(cells)).lines
    assert [entry.text for entry in line.costs[3:5]] == ["700", "400"]
    (early,) = headline_table(table_rows([made_cell()])).lines
    assert [entry.text for entry in early.costs[3:5]] == [HOLE, HOLE]


def test_whatever_a_name_holds_stays_text(tmp_path):
    def page(names, folder):
        cells = [
            altered(
                made_cell(name, 0.5, 0.6, label=name, dataset="d" + name, backbone=name, gpu=name),
                {
                    "config.training.dataset": "d" + name.replace(" ", ""),
                    "protocol.precision": name,
                },
            )
            for name in names
        ]
        return page_of(on_disk(cells, folder))

    plain = page([f"plain-{i}" for i in range(len(EVIL))], tmp_path / "plain")
    evil = page(EVIL, tmp_path / "evil")
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attrs) for _, attrs in evil.tags] == [sorted(attrs) for _, attrs in plain.tags]
    names = {row[0].strip() for row in evil.tables["results"] if row}
    assert names >= {f"{name} ({name})" for name in EVIL}
    (figures,) = (json.loads(text) for kind, text in evil.scripts if kind == "application/json")
    assert {row["name"] for row in figures["rows"]} == {f"{n} ({n})/{n}" for n in EVIL}


def test_nothing_is_asked_of_any_server(cells):
    text = render_report(cells, NOWHERE)
    page = Page(text)
    assert page.links
    assert all(link.startswith(("#", "data:")) for link in page.links)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert page.policy.startswith("default-src 'none';")


def test_only_the_scripts_of_the_page_may_run(cells):
    page = page_of(cells)
    allowed = set(re.findall(r"'sha256-([^']+)'", page.policy))
    hashes = {hashlib.sha256(text.encode()).digest() for kind, text in page.scripts if kind is None}
    assert {b64decode(digest) for digest in allowed} == hashes
    assert len(hashes) == 2  # plotly, once, and ours
    assert "unsafe-inline" not in page.policy.split("style-src")[0]
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_the_same_cells_give_the_same_bytes(cells):
    assert render_report(cells, NOWHERE) == render_report(cells, NOWHERE)


def test_episodes_are_summed_up_not_embedded(tmp_path):
    rng = np.random.default_rng(0)

    def size(n):
        accuracies = rng.integers(0, 76, n) / 75
        return len(render_report(on_disk([made_cell("mtl", *accuracies)], tmp_path), NOWHERE))

    assert abs(size(5000) - size(50)) < 1000


@pytest.mark.slow
def test_the_committed_cells_make_a_page_of_a_few_megabytes(committed_results):
    cells = read_cells(committed_results / "cifar_fs")
    text = render_report(cells, NOWHERE)
    assert len(text.encode()) < MOST_BYTES - 2_000_000  # which pictures may take
    assert text.count("Copyright") < 10  # plotly once
    for row in table_rows(cells):
        assert row.name in text


@pytest.mark.parametrize("module", ["plotly", "jinja2"])
def test_without_the_extra_the_user_is_told_what_to_install(module, cells, monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "fewshot.reporting.html.page", raising=False)
    monkeypatch.delattr(html, "page", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"{module}.*pip install 'fewshot\[report\]'"):
        render_report(cells, NOWHERE)


def test_the_command_writes_the_page_without_torch(tmp_path, cells):
    out = tmp_path / "page.html"
    done = run_without_torch("report", tmp_path, "--out", out, "--data", "nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}\n"
    assert out.read_text() == render_report(read_cells(tmp_path), Path("nowhere"))


@pytest.mark.parametrize("out", ["none/page.html", "folder"])
def test_a_page_that_cannot_be_written_is_one_clear_line(out, tmp_path, cells, fewshot):
    (tmp_path / "folder").mkdir()
    code, _, error = fewshot("report", tmp_path, "--out", tmp_path / out)
    assert code == 2
    assert f"{tmp_path / out}: cannot write" in error
    assert not list(tmp_path.glob(".*"))


def test_a_folder_without_cells_is_one_clear_line(tmp_path, fewshot):
    code, _, error = fewshot("report", tmp_path)
    assert (code, error) == (2, f"error: no finished cells in {tmp_path}\n")


# Verdicts


def some_rows(n_episodes=60):
    rng = np.random.default_rng(1)
    base = rng.uniform(0.3, 0.6, n_episodes)
    shifts = {"low": 0.0, "near": 0.0005, "high": 0.2}
    made = [
        made_cell(name, *(base + shift + rng.normal(0, 0.01, n_episodes)))
        for name, shift in shifts.items()
    ]
    return [*made, made_cell("other", *base, batch_norm="query")]


def test_verdicts_are_those_of_compare():
    cells = some_rows()
    found = verdicts.pair_verdicts(cells, table_rows(cells))
    assert [line.pair.verdict for line in found.lines] == [c.verdict for c in compare(cells)]
    assert found.tests == 3
    (matrix,) = found.matrices
    word = {
        (a, b): matrix.words[i][j].text
        for i, a in enumerate(matrix.names)
        for j, b in enumerate(matrix.names)
    }
    assert word["high/conv4", "low/conv4"] == "better"
    assert word["near/conv4", "low/conv4"] == "no difference found"
    assert word["other/conv4", "low/conv4"] == "not compared"
    mirrored = {"better": "worse", "worse": "better"}
    for a, b in combinations(matrix.names, 2):
        assert word[b, a] == mirrored.get(word[a, b], word[a, b])


@pytest.mark.parametrize("limit", ["MOST_PAIRS", "MOST_DRAWS"])
def test_too_many_pairs_are_left_out_and_the_page_says_so(limit, monkeypatch):
    monkeypatch.setattr(verdicts, limit, 2)
    monkeypatch.setattr(verdicts, "compare", None)
    cells = some_rows()
    found = verdicts.pair_verdicts(cells, table_rows(cells))
    assert "6 pairs are too many" in found.skipped
    assert found.skipped in "".join(page_of(cells_without_curves(cells)).text)


def cells_without_curves(cells):
    """Cells in memory have no curve.csv to read: as if they had not been trained."""
    return [altered(cell, {"training": None}) for cell in cells]


def test_a_single_row_has_no_verdict_and_still_a_page(tmp_path):
    cells = on_disk([made_cell()], tmp_path)
    assert "nothing to compare" in "".join(page_of(cells).text)


# Published numbers


def test_published_numbers_stand_beside_what_was_measured_or_beside_a_hole():
    cells = [made_cell(dataset="cifar-fs"), made_cell(dataset="cifar-fs", label="mine")]
    lines = published_lines(table_rows(cells))
    ours = {line.name: line for line in lines if line.measured.text != HOLE}
    assert set(ours) == {"protonet", "protonet (mine)"}
    line = ours["protonet"]
    assert (line.published.text, line.measured.text) == ("72.0 ± 0.6", "50.00 ± 32.48")
    assert (line.gap.text, round(line.gap.key, 6)) == ("−22.0", -0.22)
    known = [n for n in published_numbers() if n.column == "cifar-fs 5w5s"]
    assert len(lines) == len(known) + 1  # one of them stands beside two rows
    assert {line.number.source for line in lines} == {n.source for n in known}


def test_a_learner_trained_on_another_data_set_is_held_against_no_published_number():
    cells = [made_cell(dataset="cifar-fs", training_classes="train of glyphs")]
    assert all(line.measured.text == HOLE for line in published_lines(table_rows(cells)))


# What is behind a score


def leaves(value):
    if isinstance(value, dict) and value:
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    return [value]


def test_everything_in_run_json_is_behind_its_score(cells):
    origins = {"recipe.steps": "bench [[training]]", "scoring.n_way": "default"}
    cells = [altered(cell, {"origins": origins}) for cell in cells]
    found = {d.title: d for d in score_details(table_rows(cells))}
    (details,) = found["mtl/conv4 on made 5w5s"].cells
    shown = [value for facts in details.groups.values() for value in facts.values()]
    shown += [setting.value for setting in details.settings]
    (run,) = (cell.run.json for cell in cells if cell.run.cell == details.cell)
    rest = {key: run[key] for key in run if key not in ("schema", "origins")}
    assert len(shown) == len(leaves(rest))
    settings = {setting.key: setting for setting in details.settings}
    assert settings["recipe.steps"].origin == "bench [[training]]"
    assert settings["scoring.n_way"].origin == "default"
    assert details.settings[0].key == "recipe.steps"  # what someone set stands first


def test_each_number_of_the_table_leads_to_its_own_details(cells):
    page = page_of(cells)
    links = [a["href"][1:] for tag, a in page.tags if tag == "a" and a.get("class") == "details"]
    ids = [a["id"] for tag, a in page.tags if tag == "details" and "id" in a]
    assert len(links) == len(set(links)) == 4
    assert sorted(links) == sorted(ids)


def test_seeds_stand_behind_one_score():
    cells = [made_cell("mtl", 0.5, 0.6, seed=seed) for seed in (0, 1)]
    (details,) = score_details(table_rows(cells))
    assert [cell.cell for cell in details.cells] == [cell.run.cell for cell in cells]


# Figures


def test_points_have_percentages_and_costs(cells):
    data = figure_data(table_rows(cells))
    assert data["columns"] == ["made 5w1s", "made 5w5s"]
    assert data["fullest"] == "made 5w5s"
    by_name = {(data["rows"][p["row"]]["name"], p["column"]): p for p in data["points"]}
    point = by_name["mtl/conv4", "made 5w5s"]
    assert point["accuracy"] == pytest.approx(100 * np.mean([0.6, 0.9, 0.7]), rel=1e-5)
    assert point["costs"] == {"train_s": 90.0, "images": 12345, "adapt_ms": 0.75}
    assert by_name["pixels", "made 5w1s"]["costs"]["train_s"] is None
    assert point["leads"]["train_s"]
    assert not by_name["maml/conv4", "made 5w5s"]["leads"]["train_s"]  # it sees other queries


def test_a_time_of_another_machine_leads_no_front_but_images_do(tmp_path):
    made = [made_cell("a"), made_cell("b"), made_cell("c", gpu="Big GPU")]
    cells = on_disk(made, tmp_path)
    data = figure_data(table_rows(cells))
    leads = {data["rows"][p["row"]]["name"]: p["leads"] for p in data["points"]}
    assert [leads[f"{name}/conv4"]["train_s"] for name in "abc"] == [True, True, False]
    assert all(lead["images"] for lead in leads.values())


def test_a_training_has_one_curve_whatever_stands_on_it(tmp_path):
    made = [made_cell("mtl", n_shot=1), made_cell("mtl"), made_cell("mtl", label="again")]
    cells = on_disk([*made, made_cell("maml"), made_cell("pixels", trained=False)], tmp_path)
    data = figure_data(table_rows(cells))
    named = [[data["rows"][i]["name"] for i in curve["rows"]] for curve in data["curves"]]
    assert sorted(map(sorted, named)) == [["maml/conv4"], ["mtl (again)/conv4", "mtl/conv4"]]
    for curve in data["curves"]:
        assert (curve["train_s"], curve["images"]) == ([10.5, 21.0], [1000, 2000])
        assert curve["accuracy"] == [25.0, 50.0]


def test_validations_without_an_accuracy_are_left_out(tmp_path):
    curve = [CURVE[0], {**CURVE[1], "val_accuracy": math.nan}]
    cells = on_disk([made_cell()], tmp_path, curve)
    assert figure_data(table_rows(cells))["curves"][0]["accuracy"] == [25.0]


def test_a_damaged_curve_is_one_clear_line(tmp_path, fewshot):
    (cell,) = on_disk([made_cell()], tmp_path)
    (cell.path / "curve.csv").write_text("step\n1\n")
    code, _, error = fewshot("report", tmp_path, "--out", tmp_path / "page.html")
    assert code == 2
    assert str(cell.path / "curve.csv") in error


# Episodes


CLASSES, PX = 7, 8


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A data folder with a small data set of its own, and the data set's images by class."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (CLASSES, PER_CLASS, PX, PX, 3), np.uint8)
    for c in range(CLASSES):
        (folder / f"c{c}").mkdir()
        for i in range(PER_CLASS):
            Image.fromarray(pixels[c, i]).save(folder / f"c{c}" / f"{i:02}.png")
    (folder.parent / "split.toml").write_text(SPLIT)
    data_dir = tmp_path_factory.mktemp("data")
    split = str(folder.parent / "split.toml")
    store = import_dataset("birds", folder, data_dir, {}, size=PX, split=split)
    return data_dir, store


def answer_tables(page):
    """The tables of what learners called the queries of each class, in the order of the page."""
    tables = page.tables.values()
    return [[row for row in t if row] for t in tables if any("right, of" in " ".join(r) for r in t)]


def pixels_of(uri):
    kind, text = uri.split(",", 1)
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(BytesIO(b64decode(text))))


def test_pictures_are_those_of_the_episodes_that_were_scored(birds):
    data_dir, store = birds
    cells = scored_on(store, "mtl", "maml")
    (found,) = data_set_examples(table_rows(cells), data_dir)
    assert (found.missing, found.columns) == ("", ["birds 3w1s", "birds 3w5s"])
    assert [example.number for example in found.examples] == [0, 1, 2, 3]
    test = sorted(parse_split(SPLIT).test)
    for example in found.examples:
        drawn = draw_episode(0, "test", example.number, [PER_CLASS] * 4, EpisodeShape(3, 5, 15))
        assert [c.name for c in example.classes] == [test[i] for i in drawn.class_ids_N]
        for label, images in enumerate(example.classes):
            start = store.class_starts[store.class_names.index(images.name)]
            support = store.images_IHWC[start + drawn.support_NK[label]]
            query = store.images_IHWC[start + drawn.query_Q[drawn.query_y_Q == label]]
            np.testing.assert_array_equal([pixels_of(uri) for uri in images.support], support)
            np.testing.assert_array_equal([pixels_of(uri) for uri in images.query], query)


def test_accuracies_are_those_of_that_very_episode(birds):
    data_dir, store = birds
    cells = scored_on(store, "mtl", "maml")
    cells += scored_on(store, "half", shots=(5,))
    (found,) = data_set_examples(table_rows(cells), data_dir)
    for example in found.examples:
        outcomes = {outcome.name: outcome.percents for outcome in example.outcomes}
        i = example.number
        assert outcomes["mtl/conv4"] == pytest.approx([100 * (i + 1) / 45, 100 * (i + 5) / 45])
        assert outcomes["maml/conv4"] == pytest.approx([100 * (i + 2) / 45, 100 * (i + 6) / 45])
        assert outcomes["half/conv4"][0] is None
    page = page_of(cells_without_curves(cells), data_dir)
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 4 * 3 * (5 + 15)
    assert "100.0" not in "".join(page.text)


def test_every_query_is_marked_with_what_each_learner_called_it(birds):
    data_dir, store = birds
    made = scored_on(store, "mtl", "maml")
    cells = [answered(cell, seed=i) for i, cell in enumerate(made)]
    rows = table_rows(cells)
    (found,) = data_set_examples(rows, data_dir)
    assert (found.answered, found.without) == (["birds 3w1s", "birds 3w5s"], [])
    tables = answer_tables(page_of(cells_without_curves(cells), data_dir))
    assert len(tables) == 4 * 3
    by_name = {
        (c.run.config.training.learner, column): c
        for c, column in zip(cells, ["3w1s", "3w1s", "3w5s", "3w5s"], strict=True)
    }
    for number in range(4):
        drawn = draw_episode(0, "test", number, [PER_CLASS] * 4, EpisodeShape(3, 5, 15))
        names = [c.name for c in found.examples[number].classes]
        for label in range(3):
            queries, table = drawn.query_y_Q == label, tables[3 * number + label]
            assert len(table) == 1 + 2 * 3  # images; for each column the count and two learners
            for column, (count, *lines) in (("3w1s", table[1:4]), ("3w5s", table[4:])):
                assert count[0] == f"{column}: right, of 2"
                right = np.zeros(15, int)
                for name, *marks in lines:
                    kept = by_name[name.split("/")[0], column].examples
                    called = kept[kept.episode == number].predicted.to_numpy()[queries]
                    right += called == label
                    assert marks == [
                        "✓" if c == label else f"✗ {'ABC'[c]} {names[c]}" for c in called
                    ]
                assert list(map(int, count[1:])) == right.tolist()


def test_the_right_queries_of_a_learner_are_as_many_as_its_accuracy_says(birds):
    data_dir, store = birds
    cells = [answered(cell) for cell in scored_on(store, "mtl", shots=(5,))]
    (found,) = data_set_examples(table_rows(cells), data_dir)
    for example in found.examples:
        (percent,) = example.outcomes[0].percents
        right = sum(sum(c.answers[0].right) for c in example.classes)
        assert right / 45 == pytest.approx(percent / 100)


def test_rows_that_kept_no_predictions_are_left_out_and_named(birds):
    data_dir, store = birds
    mtl_1, maml_1, mtl_5, maml_5 = scored_on(store, "mtl", "maml")
    (pixels,) = scored_on(store, "pixels", shots=(5,))
    cells = [answered(mtl_1), maml_1, answered(mtl_5), answered(maml_5), pixels]
    (found,) = data_set_examples(table_rows(cells), data_dir)
    assert sorted(found.without) == ["maml/conv4 (3w1s)", "pixels/conv4"]
    lines = {
        answers.column: {line.name for line in answers.lines}
        for answers in found.examples[0].classes[0].answers
    }
    assert lines == {"birds 3w1s": {"mtl/conv4"}, "birds 3w5s": {"mtl/conv4", "maml/conv4"}}
    page = page_of(cells_without_curves(cells), data_dir)
    assert "they got right: maml (3w1s), pixels." in " ".join("".join(page.text).split())


def test_without_any_predictions_the_page_says_so_once_and_offers_no_choice(birds):
    data_dir, store = birds
    page = page_of(cells_without_curves(scored_on(store, "mtl")), data_dir)
    assert "which queries they got right: all rows here." in " ".join("".join(page.text).split())
    assert not answer_tables(page)
    assert not [attrs for _, attrs in page.tags if "data-answers" in attrs]


def test_an_episode_of_which_a_learner_kept_nothing_lacks_its_line_alone(birds):
    data_dir, store = birds
    few, many = scored_on(store, "few", "many", shots=(5,))
    cells = [answered(few, kept=2), answered(many)]
    (found,) = data_set_examples(table_rows(cells), data_dir)
    lines = [[line.name for line in e.classes[0].answers[0].lines] for e in found.examples]
    assert sorted(lines[1]) == ["few/conv4", "many/conv4"]
    assert lines[2] == lines[3] == ["many/conv4"]
    assert found.without == ["few/conv4"]


def test_each_training_seed_has_a_line_of_its_own(birds):
    data_dir, store = birds
    cells = [
        answered(
            made_cell(
                "mtl",
                *[0.5] * 6,
                dataset="birds",
                n_way=3,
                seed=seed,
                fingerprint=store.fingerprint,
                digest=scored_on(store, "mtl", shots=(5,))[0].run.episodes_digest,
            ),
            seed=seed,
        )
        for seed in (0, 1)
    ]
    (found,) = data_set_examples(table_rows(cells), data_dir)
    (answers,) = found.examples[0].classes[0].answers
    assert [line.name for line in answers.lines] == ["mtl/conv4, seed 0", "mtl/conv4, seed 1"]
    assert answers.lines[0].predicted != answers.lines[1].predicted


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rows: rows.assign(predicted=(rows.predicted + 1) % 3),  # another accuracy
        lambda rows: rows.assign(predicted=rows.predicted.replace(0, 3)),  # no such label
        lambda rows: rows[rows["query"] != 7],
        lambda rows: pd.concat([rows, rows[:1]]),
    ],
)
def test_predictions_of_other_episodes_are_one_clear_line(wrong, birds):
    data_dir, store = birds
    (cell,) = scored_on(store, "mtl", shots=(5,))
    cell = answered(cell)
    cell = replace(cell, examples=wrong(cell.examples))
    with pytest.raises(UserError, match=f"{cell.run.cell}: .*not those of episode 0$"):
        data_set_examples(table_rows([cell]), data_dir)


def test_the_order_in_which_predictions_were_written_does_not_matter(birds):
    data_dir, store = birds
    (cell,) = scored_on(store, "mtl", shots=(5,))
    cell = answered(cell)
    mixed = replace(cell, examples=cell.examples.sample(frac=1, random_state=0))
    one, other = (data_set_examples(table_rows([c]), data_dir) for c in (cell, mixed))
    assert one == other


def test_names_of_classes_and_learners_stay_text_among_the_answers(tmp_path):
    names = [f"{i}{name}" for i, name in enumerate(EVIL) if "/" not in name]
    names = ["0train", "1val", *names]
    split = "".join(
        f"{part} = {json.dumps(chosen)}\n"
        for part, chosen in (("train", names[:1]), ("val", names[1:2]), ("test", names[2:]))
    )
    sizes = dict.fromkeys(sorted(names), PER_CLASS)
    images = np.zeros((len(names) * PER_CLASS, PX, PX, 3), np.uint8)
    reading = Reading(sizes, lambda start, stop: iter([images[start:stop]]), {})
    store = write_store(tmp_path / "birds", reading, PX, {"split.toml": split})
    test_sizes = (PER_CLASS,) * (len(names) - 2)
    digest = digest_of(EpisodeShape(3, 5, 15), test_sizes)
    cells = [
        answered(cell, sizes=test_sizes)
        for cell in scored_on(store, *EVIL, shots=(5,), digest=digest)
    ]
    page = page_of(cells_without_curves(cells), tmp_path)
    tables = answer_tables(page)
    assert len(tables) == 4 * 3
    lines = {line[0] for line in tables[0][2:]}
    assert lines == set(EVIL)
    marks = {mark[4:] for table in tables for line in table[2:] for mark in line[1:] if mark != "✓"}
    assert marks <= set(names[2:])
    assert len(marks) > 2
    assert not [tag for tag, attrs in page.tags if tag == "img" and "onerror" in attrs]
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 3
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"fingerprint": "0123"}, "not those that were scored"), ({"digest": "4567"}, "not those of")],
)
def test_other_images_or_other_episodes_are_not_shown(wrong, words, birds):
    data_dir, store = birds
    cells = scored_on(store, "mtl", **wrong)
    (found,) = data_set_examples(table_rows(cells), data_dir)
    assert not found.examples
    assert words in found.missing


def test_without_images_the_page_says_how_to_get_them(cells, tmp_path):
    page = page_of(cells, tmp_path / "empty")
    text = "".join(page.text)
    assert "No pictures: no data set 'made' in the data folder" in text
    assert str(tmp_path) not in text
    assert "fewshot data import made" in text
    assert not (tmp_path / "empty").exists()  # a report fetches and draws nothing


def test_a_store_without_a_split_is_not_shown(birds, tmp_path):
    _, store = birds
    shutil.copytree(store.path, tmp_path / "birds")
    (tmp_path / "birds" / "split.toml").unlink()
    cells = scored_on(store, "mtl")
    (found,) = data_set_examples(table_rows(cells), tmp_path)
    assert found.missing.startswith("the data folder/birds: no split.toml")


def test_many_data_sets_share_the_space(birds):
    data_dir, store = birds
    cells = scored_on(store, "mtl", n_way=3) + scored_on(store, "mtl", n_way=2)
    cells += [made_cell(dataset=f"other-{i}") for i in range(3)]
    found = data_set_examples(table_rows(cells), data_dir)
    assert [len(each.examples) for each in found] == [1, 1, 0, 0, 0]


# Size


@pytest.mark.slow
def test_with_pictures_and_predictions_of_all_committed_cells_the_page_stays_small(
    tmp_path, committed_results
):
    """Images of noise, which no PNG makes smaller, and learners that are mostly wrong."""
    test = load_split("cifar-fs").classes("test")
    names, sizes = sorted({*load_split("cifar-fs").train, *load_split("cifar-fs").val, *test}), 40
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (len(names) * sizes, 32, 32, 3), np.uint8)
    reading = Reading(
        dict.fromkeys(names, sizes), lambda start, stop: iter([noise[start:stop]]), {}
    )
    write_store(tmp_path / "cifar-fs", reading, 32)
    fingerprint = open_store(tmp_path / "cifar-fs").fingerprint
    cells, test_sizes = [], (sizes,) * len(test)
    for i, cell in enumerate(read_cells(committed_results / "cifar_fs")):
        scoring = cell.run.config.scoring
        shape = EpisodeShape(scoring.n_way, scoring.n_shot, scoring.n_query)
        digest = digest_of(shape, test_sizes)
        cell = altered(cell, {"dataset.fingerprint": fingerprint, "episodes_digest": digest})
        cells.append(answered(cell, seed=i, sizes=test_sizes))
    text = render_report(cells, tmp_path)
    assert text.count("✗") > 5000
    assert len(text.encode()) < MOST_BYTES


@pytest.mark.slow
def test_500_cells_of_10_000_episodes_take_little_time_and_memory(tmp_path):
    rng = np.random.default_rng(0)
    n = 10_000
    for i in range(500):
        rest, learner = divmod(i, 5)
        rest, backbone = divmod(rest, 2)
        rest, seed = divmod(rest, 5)
        dataset, shot = divmod(rest, 2)
        cell = made_cell(
            f"learner-{learner}",
            backbone=("conv4", "resnet12")[backbone],
            dataset=f"set-{dataset}",
            n_shot=(1, 5)[shot],
            seed=seed,
            digest=f"{dataset}-{shot}",
            fingerprint=f"{dataset}",
        )
        accuracy = rng.integers(20 + learner, 60, n) / 75
        frame = pd.DataFrame(
            {"episode": np.arange(n), "accuracy": accuracy, "nll": rng.random(n)}
        ).assign(adapt_ms=0.25, predict_ms=0.5)
        write_cell(tmp_path / f"{i:03}", cell.run, CURVE, frame)
    seconds, gigabytes, _ = cost_of_command(
        "report", tmp_path, "--data", "nowhere", "--out", tmp_path / "page.html"
    )
    assert seconds < 30
    assert gigabytes < 1
    assert (tmp_path / "page.html").stat().st_size < 12_000_000
