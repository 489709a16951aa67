"""What the timings share: taking turns, and a report of what they were made with."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from fewshot import machine

K = TypeVar("K")
T = TypeVar("T")


def take_turns(runs: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """What each run gave in each round; they take turns, after a round that does not count."""
    out: dict[K, list[T]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            value = run()
            if number:
                out[name].append(value)
    return out


def wait(device: torch.device) -> None:
    """Until a GPU has done what was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe_run(args: argparse.Namespace, device: torch.device, **facts: Any) -> dict[str, Any]:
    """Host, commit, other facts and options: the head of a report. Paths are the machine's own."""
    options = {
        key: value
        for key, value in vars(args).items()
        if key != "json" and not isinstance(value, Path)
    }
    return {
        "host": machine.describe(device),
        "git": machine.git_state(),
        **facts,
        "options": options,
    }


def write_report(path: Path | None, report: Mapping[str, Any]) -> None:
    """Write a report, if a file for it was named."""
    if path:
        path.write_text(json.dumps(report, indent=1) + "\n")
