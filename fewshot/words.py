"""Numbers, protocols and commits in the words of tables and pages."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fewshot.results import CellResult
from fewshot.rows import HOLE, PROTOCOL, Row, protocol_words


class Entry(NamedTuple):
    """What stands in a cell of a table, and the number it is sorted by: None for a hole."""

    text: str
    key: float | None


def number(value: float | None, text: str) -> Entry:
    """An entry; a hole where there is no value."""
    return Entry(HOLE, None) if value is None or math.isnan(value) else Entry(text, value)


def percent(mean: float, ci95: float, digits: int = 2) -> Entry:
    """An accuracy and the half-width of its interval, in %."""
    return number(mean, f"{100 * mean:.{digits}f} ± {_half(ci95, digits)}")


def difference(mean: float, ci95: float, digits: int = 2) -> Entry:
    """A difference and the half-width of its interval, in points."""
    return number(mean, f"{signed(mean, digits).text} ± {_half(ci95, digits)}")


def signed(fraction: float | None, digits: int = 2) -> Entry:
    """A difference in points, with its sign."""
    if fraction is None:
        return number(None, "")
    rounded = round(100 * fraction, digits)
    return number(fraction, f"{rounded:+.{digits}f}".replace("-", "−") if rounded else "0.00")


def duration(seconds: float | None) -> Entry:
    """Seconds or minutes."""
    if seconds is None:
        return number(None, "")
    if seconds < 100:
        return number(seconds, f"{seconds:.{1 if seconds < 10 else 0}f} s")
    return number(seconds, f"{seconds / 60:.1f} min")


def rate(per_second: float | None) -> Entry:
    """How many a second, to three figures below a thousand."""
    if per_second is None:
        return number(None, "")
    digits = max(0, 2 - math.floor(math.log10(per_second))) if per_second > 0 else 0
    return number(per_second, f"{per_second:,.{min(digits, 3)}f}")


def count(value: int | None) -> Entry:
    """A whole number with commas."""
    return number(value, "" if value is None else f"{value:,}")


def share(fraction: float | None) -> Entry:
    """A share of a whole, in %."""
    return number(fraction, "" if fraction is None else f"{100 * fraction:.0f} %")


def letter(place: int) -> str:
    """a, b, ... z, aa, ab, ...

    >>> letter(0), letter(25), letter(26)
    ('a', 'z', 'aa')
    """
    before, last = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("a") + last)


def protocol_of(row: Row) -> Mapping[str, Any]:
    """The protocol of a row: that of its first column."""
    return next(iter(row.scores.values())).protocol


def protocol_differences(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """The keys of `PROTOCOL` in which all rows agree, and those in which some do not."""
    protocols = [protocol_of(row) for row in rows]
    shared = [key for key in PROTOCOL if all(p[key] == protocols[0][key] for p in protocols)]
    return shared, [key for key in PROTOCOL if key not in shared]


def protocol_letters(rows: Sequence[Row]) -> list[str]:
    """For each row the letter of its protocol."""
    words = [protocol_words(protocol_of(row), list(PROTOCOL)) for row in rows]
    distinct = list(dict.fromkeys(words))
    return [letter(distinct.index(found)) for found in words]


def commits(cells: Sequence[CellResult]) -> str:
    """Each commit that cells were trained or scored at, with a note where it had changes."""
    found = {_commit(git) for cell in cells for git in _gits(cell.run)}
    return ", ".join(sorted(found))


def _gits(run: Mapping[str, Any]) -> Iterable[Mapping[str, Any] | None]:
    return run["git"], (run["training"] or {}).get("git", run["git"])


def _commit(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return git["commit"][:7] + (" with changes" if git["changed"] else "")


def _half(ci95: float, digits: int) -> str:
    return HOLE if math.isnan(ci95) else f"{100 * ci95:.{digits}f}"
