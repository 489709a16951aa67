"""Pairwise verdicts: which differences are real, and which pairs are not compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from fewshot.results.comparison import Comparison, compare
from fewshot.results.files import CellResult
from fewshot.results.protocol import unlike
from fewshot.results.rivals import SIGNIFICANCE, resamples_of
from fewshot.results.rows import TableRow, column_names
from fewshot.units import NO_ENTRY, Entry, difference, p_value, signed

MOST_PAIRS = 2000
"""More would fill a page that nobody reads."""
MOST_DRAWS = 1e10
"""The most tests x resamples x episodes: they take some five seconds on one core."""


class Word(NamedTuple):
    """A place of a matrix: the row's verdict against the column's, and the difference."""

    kind: str
    text: str
    difference: str


class PairLine(NamedTuple):
    """One comparison, with its difference and its p as the page shows them."""

    pair: Comparison
    difference: Entry
    p: Entry


@dataclass(frozen=True)
class Matrix:
    """Every row of a column against every other one."""

    column: str
    names: Sequence[str]
    words: Sequence[Sequence[Word]]


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on all pairs. skipped: why there are none, else "".

    tests: the number of those that share Holm's correction.
    """

    lines: Sequence[PairLine] = ()
    matrices: Sequence[Matrix] = ()
    tests: int = 0
    significance: float = SIGNIFICANCE
    skipped: str = ""


def pair_verdicts(cells: Sequence[CellResult], rows: Sequence[TableRow]) -> Verdicts:
    """Return what `fewshot compare` finds for all pairs, unless these are too many for a page."""
    if skipped := _too_many(rows):
        return Verdicts(skipped=skipped)
    found = compare(cells)
    return Verdicts(
        lines=[_line(c) for c in found],
        matrices=[_matrix(column, rows, found) for column in column_names(rows)],
        tests=sum(c.over_episodes is not None for c in found),
    )


def _too_many(rows: Sequence[TableRow]) -> str:
    """Return why there is nothing to show, or ""."""
    pairs = [
        (one.scores[column], other.scores[column])
        for column in column_names(rows)
        for one, other in combinations([row for row in rows if column in row.scores], 2)
    ]
    if not pairs:
        return "No two rows share a column: there is nothing to compare."
    if len(pairs) <= MOST_PAIRS:
        alike = [
            len(one.accuracy_E) for one, other in pairs if not unlike(one.protocol, other.protocol)
        ]
        if sum(alike) * resamples_of(len(alike)) <= MOST_DRAWS:
            return ""
    return f"{len(pairs):,} pairs are too many for a page. fewshot compare DIR A B tells two apart."


def _line(c: Comparison) -> PairLine:
    if c.over_episodes is None:
        return PairLine(c, NO_ENTRY, NO_ENTRY)
    found = difference(c.over_episodes.mean, c.over_episodes.ci95)
    return PairLine(c, found, p_value(c.holm_p))


def _matrix(column: str, rows: Sequence[TableRow], found: Sequence[Comparison]) -> Matrix:
    names = [row.full_name for row in rows if column in row.scores]
    words = {(name, name): Word("self", "", "") for name in names}
    for c in found:
        if c.column == column:
            words[c.a, c.b], words[c.b, c.a] = _word(c, 1), _word(c, -1)
    return Matrix(column, names, [[words[a, b] for b in names] for a in names])


def _word(c: Comparison, sign: int) -> Word:
    """Return the verdict on `a` as seen from it; with a sign of -1, that on `b`."""
    if c.over_episodes is None or c.holm_p is None:
        return Word("refused", "not compared", "")
    mean = sign * c.over_episodes.mean
    if c.holm_p > SIGNIFICANCE:
        return Word("alike", "no difference found", signed(mean).text)
    kind = "better" if mean > 0 else "worse"
    return Word(kind, kind, signed(mean).text)
