"""The clock: what is counted, what is not, and who else used the machine."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from fewshot.harness.clock import PARTS, Clock, Use
from fewshot.machine import ProcessorSeconds


@pytest.fixture
def sleep(monkeypatch):
    """A clock that only moves when the test says so; powers of two, so that sums are exact."""
    moment = SimpleNamespace(now=1000.0)

    def forward(seconds):
        moment.now += seconds

    fake = SimpleNamespace(perf_counter=lambda: moment.now)
    monkeypatch.setattr("fewshot.harness.clock.time", fake)
    return forward


def test_parts_are_booked_apart_and_the_total_has_what_lies_between(cpu, sleep):
    clock = Clock(cpu)
    with clock.running():
        for _ in range(2):
            for seconds, part in enumerate(PARTS, 1):
                with clock.part(part):
                    sleep(seconds)
            sleep(0.5)
    assert clock.counted.parts == {"data": 2, "forward": 4, "backward": 6, "optimizer": 8}
    assert clock.total == 21


def test_time_is_counted_while_it_runs_and_only_then(cpu, sleep):
    clock = Clock(cpu)
    sleep(64)
    with clock.running():
        sleep(2)
        assert clock.total == 2
        with clock.paused():
            sleep(64)
            assert clock.total == 2
        sleep(1)
    sleep(64)
    assert clock.total == 3


def test_warm_up_is_counted_apart(cpu, sleep):
    clock = Clock(cpu)
    with clock.running():
        with clock.warming(), clock.part("data"):
            sleep(8)
        with clock.part("forward"):
            sleep(2)
        with clock.warming():
            sleep(16)
    assert (clock.total, clock.counted.warmup_s) == (2, 24)
    assert clock.counted.parts == {"data": 0, "forward": 2, "backward": 0, "optimizer": 0}


def test_what_ends_in_an_exception_is_still_counted(cpu, sleep):
    clock = Clock(cpu)

    def step():
        with clock.running(), clock.part("backward"):
            sleep(4)
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        step()
    assert clock.total == clock.counted.parts["backward"] == 4

    def first_step():
        with clock.running(), clock.warming():
            sleep(4)
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        first_step()
    assert (clock.total, clock.counted.warmup_s) == (4, 4)


def test_a_new_clock_has_counted_nothing_and_two_clocks_are_apart(cpu, sleep):
    one, other = Clock(cpu), Clock(cpu)
    with one.running():
        sleep(1)
    assert (one.total, other.total) == (1, 0)


def test_now_is_a_time_that_moves_on(cpu):
    clock = Clock(cpu)
    first = clock.now()
    assert clock.now() >= first
    with clock.running():
        sum(range(1000))
    assert clock.total > 0


def readings(monkeypatch, *readings):
    """The system's answers, one after the other."""
    given = iter(readings)
    monkeypatch.setattr("fewshot.machine.processor_seconds", lambda: ProcessorSeconds(*next(given)))


def test_what_others_used_is_what_was_busy_and_not_ours(cpu, sleep, monkeypatch):
    # own, busy, what two processors could have given in ten seconds
    readings(monkeypatch, (1, 100, 1000), (9, 113, 1020), (9, 500, 2000), (14, 505, 2020))
    clock = Clock(cpu)
    for _ in range(2):
        with clock.running():
            sleep(10)
    assert clock.use == Use(cpu_s=13, others=5 / 40)


def test_a_short_time_does_not_tell_who_used_it(cpu, sleep, monkeypatch):
    readings(monkeypatch, (1, 100, 1000), (1, 101, 1000.2))
    clock = Clock(cpu)
    with clock.running():
        sleep(0.125)
    assert clock.use.others is None


def test_a_system_that_does_not_tell_leaves_others_unknown(cpu, sleep, monkeypatch):
    readings(monkeypatch, (1, None, 1000), (9, None, 1020))
    clock = Clock(cpu)
    with clock.running():
        sleep(10)
    assert clock.use == Use(cpu_s=8, others=None)


def test_another_process_that_works_is_seen_and_our_own_work_is_not(cpu):
    def others():
        clock = Clock(cpu)
        with clock.running():
            until = time.monotonic() + 0.4
            while time.monotonic() < until:
                pass
        assert 0 < clock.use.cpu_s < 0.5
        return clock.use.others

    quiet = others()
    work = "while True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", work]) for _ in range(os.cpu_count() or 1)]
    try:
        time.sleep(0.2)
        assert others() > min(0.3, quiet + 0.1)  # other tests may have been at work before
    finally:
        for process in busy:
            process.kill()
            process.wait()
