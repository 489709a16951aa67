"""Committed tables and comparisons are what the committed cells give, as docs/results.md shows."""

import re

import pytest
from helpers.checkout import NO_GIT, tracked
from helpers.paths import ROOT

from fewshot.reporting.comparison import render as render_pairs
from fewshot.reporting.tables import render
from fewshot.results.comparison import compare
from fewshot.results.files import CELL_FILES, DISJOINT, EXAMPLES, read_cells

if not (FILES := tracked("results")):
    pytest.skip(NO_GIT, allow_module_level=True)
PAGES = {file.name for file in FILES if len(file.parts) == 2}
TABLES = sorted(name.removesuffix(".md") for name in PAGES if name.count(".") == 1)
COMPARISONS = sorted(name.removesuffix(".compare.md") for name in PAGES if name.count(".") == 2)
every_table = pytest.mark.parametrize("name", TABLES)


def test_every_page_of_results_is_made_from_cells_and_all_cells_have_a_table():
    assert {f"{name}.md" for name in TABLES} | {f"{n}.compare.md" for n in COMPARISONS} == PAGES
    assert {file.parts[1] for file in FILES if file.name == "run.json"} == set(TABLES)
    assert TABLES
    assert COMPARISONS


@every_table
def test_a_committed_table_is_that_of_its_cells(name, committed_results):
    """As `fewshot table results/NAME --format md > results/NAME.md` writes it."""
    table = (committed_results / f"{name}.md").read_text()
    assert table == render(read_cells(committed_results / name), "md")


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_committed_comparison_is_that_of_its_cells(name, committed_results):
    """As `fewshot compare results/NAME --allow-mixed --format md > results/NAME.compare.md` does.

    Permutations are drawn from a fixed seed, so the numbers repeat.
    """
    cells = read_cells(committed_results / name)
    page = (committed_results / f"{name}.compare.md").read_text()
    assert page == render_pairs(compare(cells, allow_mixed=True), "md")


@every_table
def test_the_page_of_results_shows_the_table(name, committed_results):
    page = (ROOT / "docs" / "results.md").read_text()
    assert (committed_results / f"{name}.md").read_text() in page


@every_table
def test_committed_cells_hold_what_is_needed_and_no_path_of_a_machine(name, committed_results):
    for cell in read_cells(committed_results / name):
        assert {p.name for p in cell.path.iterdir()} - {DISJOINT, EXAMPLES} == set(CELL_FILES)
        assert not re.search(r'"(/|[A-Z]:\\)', (cell.path / "run.json").read_text())
        assert not cell.run.git.changed
