"""Peak memory of an outer gradient against the number of inner steps: MAML and iMAML.

    python benchmarks/speed/inner_memory.py [--steps 5 20 80] [--json FILE]

Each measurement is a process of its own: how far its resident memory rises over that before the
outer gradient, for one 5-way 5-shot episode of 15 queries. MAML keeps every step's activations
until the way back; checkpointed, it keeps their weights alone; iMAML keeps nothing of the path.
On a GPU (--device cuda) it is the peak of allocated memory.
"""

import argparse
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from engines import make_batch, make_learner

from fewshot import machine
from fewshot.learners.imaml import IMAML, IMAMLConfig
from fewshot.learners.inner_loop.learner import GradientLearner

KINDS = ("maml", "maml checkpointed", "imaml")


def learner_of(kind: str, backbone: str, size: int, steps: int) -> GradientLearner:
    """A learner that takes this many inner steps."""
    maml = make_learner(backbone, size, "second", steps, published=False)
    if kind == "imaml":
        config = IMAMLConfig(inner_lr=0.01, inner_steps=steps, batch_norm="query")
        return IMAML(maml.backbone, config, n_classes=config.n_way)
    maml.config = replace(maml.config, engine="loop", checkpoint=kind == "maml checkpointed")
    return maml


def megabytes(kind: str, backbone: str, size: int, steps: int, device: torch.device) -> int:
    """What one outer gradient adds to this process."""
    warnings.filterwarnings("ignore", message="iMAML")  # random images: convergence is no matter
    learner = learner_of(kind, backbone, size, steps).to(device).train()
    batch = make_batch(1, size, device, published=False)
    torch.nn.functional.conv2d(torch.ones(1, 1, 8, 8), torch.ones(1, 1, 3, 3))  # loads libraries
    machine.reset_peak_memory(device)
    before = machine.peak_memory_bytes(device)
    learner.loss(batch)
    return round((machine.peak_memory_bytes(device) - before) / 2**20)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 20, 80])
    parser.add_argument("--net", default="conv4-32", help="BACKBONE-SIZE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    backbone, _, size = args.net.rpartition("-")
    if args.one:
        print(megabytes(args.one, backbone, int(size), args.steps[0], torch.device(args.device)))
        return
    rows = []
    print(f"{'MB at steps':20}", *(f"{steps:8d}" for steps in args.steps))
    for kind in KINDS:
        row = {}
        for steps in args.steps:
            options = ["--net", args.net, "--device", args.device, "--steps", str(steps)]
            command = [sys.executable, __file__, "--one", kind, *options]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row[str(steps)] = int(done.stdout.split()[-1])
        rows.append({"learner": kind, **row})
        print(f"{kind:20}", *(f"{row[str(steps)]:8d}" for steps in args.steps), flush=True)
    if args.json:
        report = {
            "host": machine.describe(torch.device(args.device)),
            "git": machine.git_state(),
            "net": args.net,
            "megabytes": rows,
        }
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
