"""A header and lines of cells, written as text, markdown or LaTeX."""

import io
from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table as RichTable

UNBOUNDED = 500  # characters: wider than any table, so that nothing is wrapped
Place = tuple[int, int]
"""Line and column of a cell, from 0."""
Lines = Sequence[Sequence[str]]


def text(
    header: Sequence[str],
    lines: Lines,
    footer: str,
    width: int | None = None,
    bold: Collection[Place] = (),
) -> str:
    """A table for a terminal, as wide as it likes where no width is given; bold cells get a *."""
    table = RichTable(*header, caption=footer, caption_justify="left")
    for line in _marked(lines, bold, "", " *"):
        table.add_row(*line)
    out = io.StringIO()
    # Plain text whatever the environment says, with labels as they were written.
    console = Console(
        file=out,
        width=width or UNBOUNDED,
        color_system=None,
        force_terminal=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def markdown(header: Sequence[str], lines: Lines, footer: str, bold: Collection[Place] = ()) -> str:
    """A markdown table, and the footer as a paragraph."""
    marked = _marked(lines, bold, "**", "**")
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in (header, *marked)]
    escaped.insert(1, ["---"] * len(header))
    table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
    return f"{table}\n\n{footer}\n"


def latex(header: Sequence[str], lines: Lines, names: int, bold: Collection[Place] = ()) -> str:
    """A tabular of booktabs whose first `names` columns are names, the others numbers."""
    escaped = [[_latex_escape(cell) for cell in line] for line in (header, *lines)]
    body = _marked(escaped[1:], bold, r"\textbf{", "}")
    rows = [" & ".join(line) + r" \\" for line in (escaped[0], *body)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{names * 'l'}{'r' * (len(header) - names)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _marked(lines: Lines, bold: Collection[Place], before: str, after: str) -> list[list[str]]:
    return [
        [f"{before}{cell}{after}" if (i, j) in bold else cell for j, cell in enumerate(line)]
        for i, line in enumerate(lines)
    ]


def _latex_escape(text: str) -> str:
    special = {
        "±": r"$\pm$",
        "–": "--",
        "−": "$-$",
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
    }
    special |= {c: "\\" + c for c in "&%$#_{}"} | {"^": r"\textasciicircum{}"}
    return "".join(special.get(c, c) for c in text)
