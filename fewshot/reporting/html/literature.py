"""Published numbers beside those measured here."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fewshot.reporting.published import Published, may_stand_beside, published_numbers
from fewshot.results.grouping import grouped
from fewshot.results.rows import TableRow, column_names
from fewshot.units import NO_ENTRY, Entry, percent, signed

TRUST = {
    "source": "read where it was published",
    "quoted": "quoted by others",
    "memory": "not checked",
}


class PublishedLine(NamedTuple):
    """A published number, and the row measured here that it is held against, if there is one.

    name: the row's, or the learner's. gap: measured less published, in points.
    """

    number: Published
    name: str
    measured: Entry
    published: Entry
    gap: Entry
    trust: str


def published_lines(rows: Sequence[TableRow]) -> list[PublishedLine]:
    """Return every number published in the columns of these rows, in the order of the columns.

    Each stands beside every row of its learner and backbone, or beside a hole. Learners that were
    trained on another data set than the column's are held against none.
    """
    columns = grouped(published_numbers(), lambda found: found.column)
    every = (found for column in column_names(rows) for found in columns.get(column, ()))
    return [line for found in every for line in _beside(found, rows)]


def _beside(found: Published, rows: Sequence[TableRow]) -> Iterator[PublishedLine]:
    shown, trust = percent(found.accuracy, found.ci95, digits=1), TRUST[found.trust]
    own = [row for row in rows if may_stand_beside(found, row)]
    for row in own:
        measured = row.scores[found.column].interval()
        gap = signed(measured.mean - found.accuracy, digits=1)
        yield PublishedLine(found, row.name, percent(*measured), shown, gap, trust)
    if not own:
        yield PublishedLine(found, found.learner, NO_ENTRY, shown, NO_ENTRY, trust)
