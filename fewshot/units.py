"""Numbers in the words of tables and pages: percentages, durations, rates, counts."""

import math
from typing import NamedTuple

HOLE = "–"
"""What stands in a table where there is no value."""


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


def _half(ci95: float, digits: int) -> str:
    return HOLE if math.isnan(ci95) else f"{100 * ci95:.{digits}f}"
