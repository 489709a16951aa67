"""One HTML file that shows the cells of a folder: works from disk, without network.

Needs neither torch nor images; `plotly` and `jinja2` come with `pip install 'fewshot[report]'`.
"""

from collections.abc import Sequence
from pathlib import Path

from fewshot.data import DataSets
from fewshot.errors import UserError
from fewshot.files import new_file
from fewshot.reporting.html.details import score_details
from fewshot.reporting.html.examples import data_set_examples
from fewshot.reporting.html.figures import figure_data
from fewshot.reporting.html.headline import headline_table
from fewshot.reporting.html.literature import published_lines
from fewshot.reporting.html.verdicts import pair_verdicts
from fewshot.results.files import CellResult
from fewshot.results.rows import table_rows


def write_report(
    cells: Sequence[CellResult], out: Path, data_dir: Path, datasets: DataSets
) -> None:
    """Write the page of these cells to `out`, whole or not at all.

    Raises UserError where the page cannot be made, or `out` cannot be written.
    """
    page = render_report(cells, data_dir, datasets)
    with new_file(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render_report(cells: Sequence[CellResult], data_dir: Path, datasets: DataSets) -> str:
    """Return the page as text: the same cells and the same images give the same bytes.

    data_dir: where images are looked for; episodes are shown of the data sets that are there.
    Raises UserError when plotly or jinja2 is not installed, or when cells that share a column come
    from different images or episodes.
    """
    try:
        from fewshot.reporting.html.page import render_page
    except ModuleNotFoundError as error:
        wanted = f"the report needs {error.name}"
        raise UserError(f"{wanted}: run `pip install 'fewshot[report]'`") from error
    rows = table_rows(cells)
    return render_page(
        benchmarks=sorted({cell.run.config.benchmark for cell in cells}),
        n_cells=len(cells),
        headline=headline_table(rows),
        figures=figure_data(rows),
        verdicts=pair_verdicts(cells, rows),
        published=published_lines(rows),
        details=score_details(rows),
        examples=data_set_examples(rows, data_dir, datasets),
    )
