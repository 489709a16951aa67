"""The clock: parts add up, and nothing outside a part is counted."""

from types import SimpleNamespace

import pytest

from fewshot.clock import PARTS, Clock


@pytest.fixture
def sleep(monkeypatch):
    """A clock that only moves when the test says so; powers of two, so that sums are exact."""
    time = SimpleNamespace(now=1000.0)

    def forward(seconds):
        time.now += seconds

    fake = SimpleNamespace(perf_counter=lambda: time.now)
    monkeypatch.setattr("fewshot.clock.time", fake)
    return forward


def test_parts_are_booked_apart_and_add_up(cpu, sleep):
    clock = Clock(cpu)
    for _ in range(2):
        for seconds, part in enumerate(PARTS, 1):
            with clock.part(part):
                sleep(seconds)
    assert clock.seconds == {"data": 2, "forward": 4, "backward": 6, "optimizer": 8}
    assert clock.total == 20


def test_time_outside_a_part_is_not_counted(cpu, sleep):
    clock = Clock(cpu)
    sleep(64)
    with clock.part("forward"):
        sleep(2)
    sleep(64)
    assert clock.total == clock.seconds["forward"] == 2


def test_a_part_that_ends_in_an_exception_is_still_counted(cpu, sleep):
    clock = Clock(cpu)

    def step():
        with clock.part("backward"):
            sleep(4)
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        step()
    assert clock.seconds["backward"] == 4


def test_a_new_clock_has_counted_nothing_and_two_clocks_are_apart(cpu, sleep):
    one, other = Clock(cpu), Clock(cpu)
    with one.part("data"):
        sleep(1)
    assert (one.total, other.total) == (1, 0)


def test_now_is_a_time_that_moves_on(cpu):
    clock = Clock(cpu)
    first = clock.now()
    assert clock.now() >= first
    with clock.part("data"):
        sum(range(1000))
    assert clock.total > 0
