"""A table, comparison, figures and page of a folder of cells, or of cells that were read."""

import json

import pytest

import fewshot


@pytest.fixture(params=["path", "text", "results"])
def cells(request, committed_results):
    folder = committed_results / "fc100"
    return {"path": folder, "text": str(folder), "results": fewshot.read_results(folder)}[
        request.param
    ]


def test_a_table_is_text_or_records(cells):
    assert "transfer" in fewshot.table(cells)
    shown = fewshot.table(cells, form="md", columns=["seeds"], where=["learner=pixels"])
    assert "| pixels | " in shown
    assert "transfer" not in shown
    records = json.loads(fewshot.table(cells, form="json"))
    assert {record["learner"] for record in records} == {"pixels", "transfer"}


def test_rows_are_compared_by_name(cells):
    found = fewshot.compare(cells, "transfer", "pixels", allow_mixed=True)
    assert {each.a.split("/")[0] for each in found} == {"transfer"}
    with pytest.raises(fewshot.UserError, match="name two rows, or none"):
        fewshot.compare(cells, "transfer")


def test_figures_and_a_page_are_written_where_they_are_asked_for(cells, tmp_path):
    lines = []
    files = fewshot.plot(cells, tmp_path / "f", form="svg", only="pareto", say=lines.append)
    assert files == [tmp_path / "f" / "fc100_pareto.svg"]
    assert files[0].is_file()
    page = fewshot.report(cells, tmp_path / "page.html", data=tmp_path)
    assert (page, page.is_file()) == (tmp_path / "page.html", True)


def test_no_cells_and_unknown_choices_are_one_line(committed_results):
    nothing = fewshot.read_results(committed_results / "fc100")[:0]
    for call in (fewshot.table, fewshot.compare, fewshot.plot, fewshot.report):
        with pytest.raises(fewshot.UserError, match="no cells"):
            call(nothing)
    folder = committed_results / "fc100"
    with pytest.raises(fewshot.UserError, match="unknown form 'xlsx'"):
        fewshot.table(folder, form="xlsx")
    with pytest.raises(fewshot.UserError, match="unknown interval 'images'"):
        fewshot.table(folder, interval="images")
    shown = fewshot.table(folder, form="md", columns="seeds", where="learner=pixels")
    assert ("| pixels | " in shown, "transfer" in shown) == (True, False)


def test_any_iterable_of_cells_will_do(committed_results):
    results = fewshot.read_results(committed_results / "fc100")
    assert fewshot.table(cell for cell in results) == fewshot.table(results)
    assert results[0] in results
    assert len({*results, *results}) == len(results)
