"""The machine and the software that a result was made with."""

import ctypes
import gc
import mmap
import os
import platform
import re
import resource
import subprocess
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "pillow", "numba")


def describe(device: torch.device) -> dict[str, Any]:
    """Return what timings depend on: processor, cores, threads, memory, GPU and versions."""
    return {
        "processor": processor_name(),
        "processor_kind": processor_kind(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory_bytes() / 2**30),
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "driver": gpu_driver() if device.type == "cuda" else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: package_version(name) for name in PACKAGES},
    }


def keep_freed_memory() -> bool:
    """Make the C library keep the memory that tensors free, and say whether it can.

    By default glibc hands every large block back to the system, which must zero its pages again
    for the next step: half the time of a training step of Conv4 at 84x84 pixels on a CPU.
    For the whole process; False, and nothing changed, where the C library is not glibc.
    """
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, -1))


def processor_name() -> str:
    """Return the processor's model, as the system tells it."""
    named = re.search(r"^model name\s*:(.*)", _linux_facts("cpuinfo"), re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def processor_kind() -> str:
    """Return the processor's family and model, its widest vectors that PyTorch uses, and bfloat16.

    A name does not tell them: clouds call unlike processors "AMD EPYC". Family and model stand
    where the system tells them, "bf16" where there is bfloat16 in hardware.
    """
    pattern = r"^(cpu family|model)\s*: (\d+)$"
    fields = dict(re.findall(pattern, _linux_facts("cpuinfo"), re.MULTILINE))
    known = [f"{name.removeprefix('cpu ')} {number}" for name, number in sorted(fields.items())]
    bf16 = ["bf16"] if computes_bf16() else []
    return ", ".join([*known, torch.backends.cpu.get_cpu_capability(), *bf16])


def computes_bf16() -> bool:
    """Say whether the processor has instructions for bfloat16 that PyTorch uses (x86).

    Elsewhere bfloat16 is turned to float32 and back, which takes longer than float32 alone.
    """
    flags = ("avx512_bf16", "amx_bf16")
    is_used = torch.backends.cpu.get_cpu_capability() in ("AVX512", "AMX")
    return is_used and any(flag in _linux_facts("cpuinfo") for flag in flags)


def _linux_facts(name: str) -> str:
    """Return the text of a file below /proc; empty on systems that have none."""
    try:
        return Path(f"/proc/{name}").read_text()
    except OSError:
        return ""


def gpu_driver() -> str | None:
    """Return the version of the GPU's driver; None where the system does not tell."""
    try:
        answer = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.splitlines()[0].strip()


class ProcessorSeconds(NamedTuple):
    """Processor time since some moment in the past; only differences have a meaning.

    own_s: of this process, all threads. busy_s: of all processors together, whoever used them,
    what a virtual machine's host took away included; None where the system does not tell.
    machine_s: what the processors could have given.
    """

    own_s: float
    busy_s: float | None
    machine_s: float


def processor_seconds() -> ProcessorSeconds:
    """Return the processor time of this process and of the whole machine (Linux)."""
    own_s, machine_s = time.process_time(), time.monotonic() * (os.cpu_count() or 1)
    if not (facts := _linux_facts("stat")):
        return ProcessorSeconds(own_s, None, machine_s)
    ticks = facts.splitlines()[0].split()[1:9]
    idle, waiting = int(ticks[3]), int(ticks[4])
    busy = sum(map(int, ticks)) - idle - waiting
    return ProcessorSeconds(own_s, busy / os.sysconf("SC_CLK_TCK"), machine_s)


def memory_bytes(device: torch.device | None = None) -> int:
    """Return the bytes of the machine's memory, or those that are free of a GPU's."""
    if device is not None and device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def release_pages(array: np.ndarray) -> None:
    """Take the pages of a memory-mapped array that nobody wrote to out of the process's memory.

    They stay in the system's cache for as long as it has room. No effect on other arrays, or where
    the system has no such call.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def package_version(name: str) -> str | None:
    """Return the installed version of a package, None where it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Return the commit of the suite's source, and if it was changed; None outside a checkout."""
    git = "git", "-C", str(Path(__file__).parent)
    try:
        # An installed package may lie inside somebody else's repository.
        if not _output(*git, "ls-files", __file__):
            return None
        changed = _output(*git, "status", "--porcelain", "--untracked-files=no", "--", ".")
        return {"commit": _output(*git, "rev-parse", "HEAD"), "changed": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return None


def _output(*command: str) -> str:
    """Return what a command prints. Raises OSError and CalledProcessError."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def free_memory(device: torch.device) -> None:
    """Give a GPU's memory back that nothing refers to any more, CUDA graphs' own included."""
    if device.type == "cuda":
        gc.collect()  # learners that hold their graphs are in cycles
        torch.cuda.empty_cache()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    # Elsewhere than on Linux the peak stays that since the process began: an upper bound.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak of resident memory


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak since the last reset of the GPU's memory, or the process's resident one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if peak := re.search(r"^VmHWM:\s*(\d+)", _linux_facts("self/status"), re.MULTILINE):
        return int(peak[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
