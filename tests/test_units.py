"""Numbers in words: one form each, for tables, pages and comparisons."""

import math

import pytest

from fewshot.units import HOLE, count, difference, duration, p_value, percent, rate, share, signed


@pytest.mark.parametrize(
    ("seconds", "text", "in_hours"),
    [
        (0.04, "0.0 s", "0.0 s"),
        (9.94, "9.9 s", "9.9 s"),
        (99.4, "99 s", "99 s"),
        (100, "1.7 min", "1.7 min"),
        (5400, "90.0 min", "90.0 min"),
        (9000, "150.0 min", "2.5 h"),
        (72_000_000, "1200000.0 min", "20,000 h"),
    ],
)
def test_a_duration_is_in_minutes_unless_hours_are_asked_for(seconds, text, in_hours):
    assert duration(seconds) == (text, seconds)
    assert duration(seconds, hours=True) == (in_hours, seconds)


@pytest.mark.parametrize(
    ("p", "text"), [(1.0, "1.0000"), (0.0123, "0.0123"), (1e-4, "0.0001"), (9e-5, "< 0.0001")]
)
def test_a_small_p_is_told_as_a_bound(p, text):
    assert p_value(p) == (text, p)


@pytest.mark.parametrize(
    ("fraction", "text", "with_sign"),
    [
        (0.0123, "+1.23", "+1.23"),
        (-0.5, "−50.00", "−50.00"),
        (-0.00001, "0.00", "−0.00"),
        (0.0, "0.00", "+0.00"),
    ],
)
def test_a_difference_that_rounds_to_zero_has_a_sign_only_if_asked_for(fraction, text, with_sign):
    assert signed(fraction) == (text, fraction)
    assert signed(fraction, signed_zero=True).text == with_sign
    assert difference(fraction, 0.01, signed_zero=True).text == f"{with_sign} ± 1.00"


def test_one_digit_of_a_difference():
    assert signed(-0.22, digits=1).text == "−22.0"


def test_an_interval_that_is_unknown_is_a_dash():
    assert percent(0.5, math.nan).text == f"50.00 ± {HOLE}"


@pytest.mark.parametrize("form", [signed, duration, rate, count, share, p_value])
def test_no_value_is_a_hole(form):
    assert form(None) == (HOLE, None)
