"""Numbers in the words of tables, pages and figures: percentages, durations, rates, counts."""

import math
from typing import NamedTuple

HOLE = "–"
"""The text of a table where there is no value."""
SMALLEST_P = 0.0001


class Entry(NamedTuple):
    """The text in a cell of a table, and the number it is sorted by: None for a hole."""

    text: str
    key: float | None


NO_ENTRY = Entry(HOLE, None)


def number(value: float | None, text: str) -> Entry:
    """Return an entry; a hole where there is no value."""
    return NO_ENTRY if value is None or math.isnan(value) else Entry(text, value)


def percent(mean: float, ci95: float, digits: int = 2) -> Entry:
    """Return an accuracy and the half-width of its interval, in %."""
    return number(mean, f"{100 * mean:.{digits}f} ± {_half(ci95, digits)}")


def difference(mean: float, ci95: float, signed_zero: bool = False) -> Entry:
    """Return a difference and the half-width of its interval, in points."""
    return number(mean, f"{signed(mean, signed_zero=signed_zero).text} ± {_half(ci95, 2)}")


def signed(fraction: float | None, digits: int = 2, signed_zero: bool = False) -> Entry:
    """Return a difference in points, with its sign.

    signed_zero: whether one that is rounded to zero keeps its sign, as in columns of differences.
    """
    if fraction is None:
        return NO_ENTRY
    points = 100 * fraction
    has_sign = signed_zero or round(points, digits)
    text = f"{points:+.{digits}f}".replace("-", "−") if has_sign else "0.00"
    return number(fraction, text)


def p_value(p: float | None) -> Entry:
    """Return the p of a test: 0.0123, or "< 0.0001"."""
    if p is None:
        return NO_ENTRY
    return number(p, f"{p:.4f}" if p >= SMALLEST_P else f"< {SMALLEST_P:.4f}")


def duration(seconds: float | None, hours: bool = False) -> Entry:
    """Return a time in seconds or minutes, so that the times of a column have few units.

    hours: whether long times are told in hours.

    >>> [duration(seconds).text for seconds in (9.96, 99, 7200)]
    ['10.0 s', '99 s', '120.0 min']
    >>> [duration(seconds, hours=True).text for seconds in (5400, 7200, 72_000)]
    ['90.0 min', '2.0 h', '20 h']
    """
    if seconds is None:
        return NO_ENTRY
    if seconds < 100:
        return number(seconds, f"{seconds:.{1 if seconds < 10 else 0}f} s")
    if seconds < 6000 or not hours:
        return number(seconds, f"{seconds / 60:.1f} min")
    return number(seconds, f"{seconds / 3600:,.{1 if seconds < 36_000 else 0}f} h")


def rate(per_second: float | None) -> Entry:
    """Return how many a second, to three figures below a thousand."""
    if per_second is None:
        return NO_ENTRY
    digits = max(0, 2 - math.floor(math.log10(per_second))) if per_second > 0 else 0
    return number(per_second, f"{per_second:,.{min(digits, 3)}f}")


def count(value: int | None) -> Entry:
    """Return a whole number with commas."""
    return number(value, "" if value is None else f"{value:,}")


def share(fraction: float | None) -> Entry:
    """Return a share of a whole, in %."""
    return number(fraction, "" if fraction is None else f"{100 * fraction:.0f} %")


def letter(place: int) -> str:
    """Return a, b, ... z, aa, ab, ... for 0, 1, ...

    >>> letter(0), letter(25), letter(26)
    ('a', 'z', 'aa')
    """
    before, last = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("a") + last)


def _half(ci95: float, digits: int) -> str:
    return HOLE if math.isnan(ci95) else f"{100 * ci95:.{digits}f}"
