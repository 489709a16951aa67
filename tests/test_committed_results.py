"""Committed tables and comparisons are what the committed cells give; the README shows them."""

import re

import pytest
from helpers.paths import ROOT

from fewshot.reporting.comparison import render as render_pairs
from fewshot.reporting.tables import render
from fewshot.results.comparison import compare
from fewshot.results.files import CELL_FILES, DISJOINT, EXAMPLES, read_cells

TABLES = sorted(p for p in (ROOT / "results").glob("*.md") if "." not in p.stem)
COMPARISONS = sorted((ROOT / "results").glob("*.compare.md"))


def test_every_page_of_results_is_made_from_cells_and_all_cells_have_a_table():
    assert {*TABLES, *COMPARISONS} == set((ROOT / "results").glob("*.md"))
    folders = {path.parent.parent for path in (ROOT / "results").glob("*/*/run.json")}
    assert folders == {table.with_suffix("") for table in TABLES}
    assert COMPARISONS


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_a_committed_table_is_that_of_its_cells(table):
    """As `fewshot table results/NAME --format md > results/NAME.md` writes it."""
    assert table.read_text() == render(read_cells(table.with_suffix("")), "md")


@pytest.mark.parametrize("file", COMPARISONS, ids=lambda path: path.stem)
def test_a_committed_comparison_is_that_of_its_cells(file):
    """As `fewshot compare results/NAME --allow-mixed --format md > results/NAME.compare.md` does.

    Permutations are drawn from a fixed seed, so the numbers repeat.
    """
    cells = read_cells(file.with_name(file.name.removesuffix(".compare.md")))
    assert file.read_text() == render_pairs(compare(cells, allow_mixed=True), "md")


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_the_readme_shows_the_table(table):
    assert table.read_text() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_committed_cells_hold_what_is_needed_and_no_path_of_a_machine(table):
    for cell in read_cells(table.with_suffix("")):
        assert {p.name for p in cell.path.iterdir()} - {DISJOINT, EXAMPLES} == set(CELL_FILES)
        assert not re.search(r'"(/|[A-Z]:\\)', (cell.path / "run.json").read_text())
        assert not cell.run["git"]["changed"]
