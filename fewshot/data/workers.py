"""Work on many classes or images at once, by as many workers as there are processors."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from fewshot.errors import UserError

T = TypeVar("T")
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_job: Callable[[int], Any]  # of a forked worker, which can be handed no function afterwards


@contextmanager
def in_order(job: Callable[[int], T], numbers: Iterable[int]) -> Iterator[Iterator[T]]:
    """Give `job(number)` for each number, in order.

    By forked processes, as decoding an image holds Python's lock for half of the time, and writing
    waits for it. By threads where forking is not safe: beside other threads of Python, or torch's.
    An error of a job is raised here; left early, it waits for the jobs that have begun.
    """
    pool = _pool(job, os.cpu_count() or 1)
    try:
        yield pool.map(_run if isinstance(pool, ProcessPoolExecutor) else job, numbers)
    except BrokenProcessPool:
        why = "a process that decodes images was ended, perhaps for want of memory"
        raise UserError(why) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(job: Callable[[int], Any], workers: int) -> Executor:
    if not can_fork():
        return ThreadPoolExecutor(workers)
    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, fork, _start, (job, os.getpid()))


def can_fork() -> bool:
    """Return whether this process may be forked: alone, on Linux."""
    alone = threading.active_count() == 1 and "torch" not in sys.modules
    return sys.platform == "linux" and alone


def _start(job: Callable[[int], Any], parent: int) -> None:
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the first process's business
    gc.freeze()  # lists of a million names need not be looked through again and again
    # A worker whose first process was killed would wait for ever, and hold its locks.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _run(number: int) -> Any:
    return _job(number)
