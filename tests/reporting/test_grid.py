"""A grid says the same in text, Markdown and LaTeX."""

import re

import pytest

from fewshot.reporting.grid import Grid

HEADER = ["name", "score"]
LINES = [["a|b", "1.0"], ["50 % & _c", "2.0"]]
BEST = {(1, 1): "best"}


@pytest.mark.parametrize("groups", [{}, {0: "one", 1: "two"}])
def test_every_form_has_every_cell_the_footer_and_the_headings(groups):
    grid = Grid(HEADER, LINES, "A footer.", BEST, groups)
    forms = {"text": grid.text(), "md": grid.markdown(), "tex": grid.latex(names=1)}
    for words in (*HEADER, "1.0", "2.0", "A footer.", *groups.values()):
        assert all(words in form for form in forms.values()), words
    assert "2.0 *" in forms["text"]
    assert "**2.0**" in forms["md"]
    assert r"\textbf{2.0}" in forms["tex"]


def test_markdown_has_a_column_a_cell_whatever_a_cell_holds():
    table = Grid(HEADER, LINES, "A footer.").markdown().split("\n\n")[0].splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [3] * 4


def test_latex_takes_nothing_for_a_command_and_no_line_for_an_option():
    lines = [["[a]", r"\b{}$^~#"], ["*", "\u4e2d\n±"]]
    out = Grid(HEADER, lines, "50 % & more").latex(names=1)
    assert "{}[a] & " + r"\textbackslash{}b\{\}\$\textasciicircum{}\textasciitilde{}\# \\" in out
    assert r"{}* & ? $\pm$ \\" in out
    assert r"50 \% \& more\par" in out


def test_text_is_plain_and_cuts_no_number_short():
    out = Grid(HEADER, [["a" * 300, "[bold]12345[/]"]], "").text()
    assert "a" * 300 in out
    assert "[bold]12345[/]" in out
    narrow = Grid(HEADER, [["abc", "12345678"]], "").text(width=16)
    assert all(len(line) <= 16 for line in narrow.splitlines())
    cells = [re.findall(r"│ (.*?) +│ (.*?) +│", line) for line in narrow.splitlines()]
    assert "".join(found[0][1] for found in cells if found) == "12345678"
    assert "\x1b[" not in out
    assert "\x1b[1;32m" in Grid(HEADER, LINES, "", BEST).text(colour=True)
