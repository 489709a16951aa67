"""The committed tables are what the committed cells give, and the README shows them."""

import re
from pathlib import Path

import pytest

from fewshot.results import CELL_FILES, read_cells
from fewshot.tables import render

ROOT = Path(__file__).parent.parent
TABLES = sorted((ROOT / "results").glob("*.md"))


def test_there_are_committed_tables():
    assert TABLES


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_a_committed_table_is_that_of_its_cells(table):
    assert table.read_text() == render(read_cells(table.with_suffix("")), "md")


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_the_readme_shows_the_table(table):
    assert table.read_text() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_committed_cells_hold_what_is_needed_and_no_path_of_a_machine(table):
    for cell in read_cells(table.with_suffix("")):
        assert sorted(p.name for p in cell.path.iterdir()) == sorted(CELL_FILES)
        assert not re.search(r'"(/|[A-Z]:\\)', (cell.path / "run.json").read_text())
        assert not cell.run["git"]["changed"]
