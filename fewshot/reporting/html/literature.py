"""Published numbers beside those measured here."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fewshot.reporting.published import Published, may_stand_beside, published_numbers
from fewshot.results.rows import TableRow, column_names
from fewshot.statistics.intervals import Interval
from fewshot.units import Entry, number, percent, signed

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
    return [
        line
        for column in column_names(rows)
        for found in published_numbers()
        if found.column == column
        for line in _beside(found, rows)
    ]


def _beside(found: Published, rows: Sequence[TableRow]) -> Iterator[PublishedLine]:
    own = [row for row in rows if may_stand_beside(found, row)]
    for row in own:
        yield _line(found, row.name, row.scores[found.column].interval())
    if not own:
        yield _line(found, found.learner, None)


def _line(found: Published, name: str, measured: Interval | None) -> PublishedLine:
    return PublishedLine(
        found,
        name,
        number(None, "") if measured is None else percent(*measured),
        percent(found.accuracy, found.ci95, digits=1),
        signed(None if measured is None else measured.mean - found.accuracy, digits=1),
        TRUST[found.trust],
    )
