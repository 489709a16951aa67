"""A header and lines of cells, written as text, markdown or LaTeX."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

UNBOUNDED = 5000  # characters: wider than any table, so that nothing is wrapped
Place = tuple[int, int]
"""Line and column of a cell, from 0."""
Style = Literal["best", "hole", "mark"]
COLOURS: dict[Style, str] = {"best": "bold green", "hole": "dim", "mark": "yellow"}
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


@dataclass(frozen=True)
class Grid:
    """A header, lines of texts and a footer; styles: by the place of a text.

    groups: the headings, each by the number of the first line below it.
    """

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    footer: str
    styles: Mapping[Place, Style] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)

    def text(self, width: int | None = None, colour: bool = False) -> str:
        """Return a table for a terminal, as wide as it likes without a width; the best get a *.

        colour: whether it has the terminal's codes.
        """
        table = RichTable(caption=self.footer, caption_justify="left")
        for name in self.header:
            table.add_column(name, overflow="fold")  # a number that is cut short is another number
        for i, line in enumerate(self._marked(self.lines, "", " *")):
            if i in self.groups:
                table.add_section()
                table.add_row(Text(self.groups[i], "bold"))
            found = [self.styles.get((i, j)) for j in range(len(line))]
            looks = [COLOURS[style] if style else "" for style in found]
            table.add_row(*map(Text, line, looks))
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

    def markdown(self) -> str:
        """Return a markdown table, and the footer as a paragraph; a heading has its own line."""
        lines = [[*self.header], ["---"] * len(self.header)]
        for i, line in enumerate(self._marked(self.lines, "**", "**")):
            if i in self.groups:
                lines.append([f"**{self.groups[i]}**", *[""] * (len(self.header) - 1)])
            lines.append(line)
        escaped = [[text.replace("|", r"\|") for text in line] for line in lines]
        table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
        return f"{table}\n\n{self.footer}\n"

    def latex(self, names: int) -> str:
        """Return a tabular of booktabs and a paragraph of notes, for the body of a document.

        names: the number of columns that hold names, before those that hold numbers.
        """
        n, footer = len(self.header), _latex_escape(self.footer)
        out = [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{names * 'l'}{'r' * (n - names)}}}",
            r"\toprule",
            _latex_line([_latex_escape(name) for name in self.header]),
            r"\midrule",
        ]
        escaped = [[_latex_escape(text) for text in line] for line in self.lines]
        for i, line in enumerate(self._marked(escaped, r"\textbf{", "}")):
            if i in self.groups:
                heading = _latex_escape(self.groups[i])
                out += [r"\midrule"] if i else []
                out.append(rf"\multicolumn{{{n}}}{{l}}{{\emph{{{heading}}}}} \\")
            out.append(_latex_line(line))
        out += [r"\bottomrule", r"\end{tabular}", "", r"\medskip"]
        return "\n".join([*out, rf"{{\footnotesize\raggedright {footer}\par}}"]) + "\n"

    def _marked(
        self, lines: Sequence[Sequence[str]], before: str, after: str
    ) -> Iterator[list[str]]:
        """Yield the lines with marks around the best."""
        for i, line in enumerate(lines):
            best = [self.styles.get((i, j)) == "best" for j in range(len(line))]
            yield [f"{before}{t}{after}" if b else t for t, b in zip(line, best, strict=True)]


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
