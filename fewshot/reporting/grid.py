"""A header and lines of cells, written as text, markdown or LaTeX."""

import io
from collections.abc import Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

UNBOUNDED = 5000  # characters: wider than any table, so that nothing is wrapped
Place = tuple[int, int]
"""Line and column of a cell, from 0."""
Lines = Sequence[Sequence[str]]
Style = Literal["best", "hole", "mark"]
COLOURS: dict[Style, str] = {"best": "bold green", "hole": "dim", "mark": "yellow"}
NOTHING: Mapping[Place, Style] = {}
NO_GROUPS: Mapping[int, str] = {}
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    **{c: "\\" + c for c in "&%$#_{}"},
    **{chr(0x3B1 + i): f"${name}$" for i, name in enumerate((r"\alpha", r"\beta", r"\gamma"))},
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
}
WESTERN = range(0xC0, 0x100)
"""Letters that LaTeX has in every font and encoding, but for those of NOT_WESTERN."""
NOT_WESTERN = "ÐÞðþ"


def text(
    header: Sequence[str],
    lines: Lines,
    footer: str,
    width: int | None = None,
    styles: Mapping[Place, Style] = NOTHING,
    groups: Mapping[int, str] = NO_GROUPS,
    colour: bool = False,
) -> str:
    """Return a table for a terminal, as wide as it likes without a given width; the best get a *.

    groups: the heading above the lines from this one on. colour: with the terminal's codes.
    """
    table = RichTable(caption=footer, caption_justify="left")
    for name in header:
        table.add_column(name, overflow="fold")  # a number that is cut short is another number
    for i, line in enumerate(_marked(lines, styles, "", " *")):
        if i in groups:
            table.add_section()
            table.add_row(Text(groups[i], "bold"))
        found = [styles.get((i, j)) for j in range(len(line))]
        table.add_row(*(Text(c, COLOURS[s] if s else "") for c, s in zip(line, found, strict=True)))
    out = io.StringIO()
    # Plain text whatever the environment says, with labels as they were written.
    console = Console(
        file=out,
        width=width or UNBOUNDED,
        color_system="standard" if colour else None,
        force_terminal=colour,
        no_color=not colour,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def markdown(
    header: Sequence[str],
    lines: Lines,
    footer: str,
    styles: Mapping[Place, Style] = NOTHING,
    groups: Mapping[int, str] = NO_GROUPS,
) -> str:
    """Return a markdown table, and the footer as a paragraph; a heading is a line of its own."""
    all_lines = [[*header], ["---"] * len(header)]
    for i, line in enumerate(_marked(lines, styles, "**", "**")):
        if i in groups:
            all_lines.append([f"**{groups[i]}**", *[""] * (len(header) - 1)])
        all_lines.append(line)
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in all_lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
    return f"{table}\n\n{footer}\n"


def latex(
    header: Sequence[str],
    lines: Lines,
    footer: str,
    names: int,
    styles: Mapping[Place, Style] = NOTHING,
    groups: Mapping[int, str] = NO_GROUPS,
) -> str:
    """Return a tabular of booktabs and a paragraph of notes, for the body of a document.

    names: so many columns are names, the others numbers.
    """
    escaped = [[_latex_escape(cell) for cell in line] for line in (header, *lines)]
    body: list[str] = []
    for i, line in enumerate(_marked(escaped[1:], styles, r"\textbf{", "}")):
        if i in groups:
            heading = rf"\multicolumn{{{len(header)}}}{{l}}{{\emph{{{_latex_escape(groups[i])}}}}}"
            body += [*([r"\midrule"] if i else []), rf"{heading} \\"]
        body.append(_latex_line(line))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{names * 'l'}{'r' * (len(header) - names)}}}",
            r"\toprule",
            _latex_line(escaped[0]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
            r"\medskip",
            rf"{{\footnotesize\raggedright {_latex_escape(footer)}\par}}",
            "",
        ]
    )


def _marked(
    lines: Lines, styles: Mapping[Place, Style], before: str, after: str
) -> list[list[str]]:
    return [
        [
            f"{before}{cell}{after}" if styles.get((i, j)) == "best" else cell
            for j, cell in enumerate(line)
        ]
        for i, line in enumerate(lines)
    ]


def _latex_line(cells: Sequence[str]) -> str:
    line = " & ".join(cells) + r" \\"
    # After the end of a line, LaTeX would take these for options of it.
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _latex_escape(text: str) -> str:
    return "".join(LATEX.get(c) or _latex_letter(c) for c in text)


def _latex_letter(c: str) -> str:
    """Return a letter that every LaTeX knows, or a question mark."""
    if c.isspace():
        return " "
    if (c.isascii() and c.isprintable()) or (ord(c) in WESTERN and c not in NOT_WESTERN):
        return c
    return "?"
