"""Race the engines of the inner loop: milliseconds an episode, and peak memory.

    python benchmarks/speed/engines.py [--device cuda] [--cases conv4-32:1,5,10 ...] [--json FILE]

All run in one process and take turns, after a first round that does not count; the device is
synchronised at the start and the end of each run, and the median of the rounds is given. Episodes
are 5-way 5-shot with 15 queries, of random images; batch norm uses the statistics of the images at
hand (`query`), since that is what the other libraries' examples do.

*Published* is a library as its own examples use it: nn.BatchNorm2d and images in NCHW order. The
others run on the suite's net: its batch norm, and images and weights with channels last.
`default` is what a benchmark gets that chooses no engine. Orders: `second` and `first` are outer
gradients; `forward` is the inner loop and the logits of the queries, as at test.

On a CPU, memory is how far the resident memory of a fresh process rises during one run.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import common
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fewshot import machine
from fewshot.backbones.norm import BatchNorm
from fewshot.backbones.registry import BACKBONE_REGISTRY
from fewshot.learners.inner_loop.algebra import InnerLoop
from fewshot.learners.inner_loop.engines import ENGINES
from fewshot.learners.inner_loop.engines.graphed import Graphed
from fewshot.learners.inner_loop.learner import GradientLearner
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.protocols import EpisodeBatch

N_WAY, N_SHOT, N_QUERY, LR = 5, 5, 15, 0.01
ORDERS = ("second", "first", "forward")
CASES = ["conv4-32:1,5,10", "conv4-84:1,5,10", "resnet12-32:1,5", "resnet12-84:1,5"]
OF_LIBRARIES = ("higher", "learn2learn")


def make_learner(backbone: str, size: int, order: str, steps: int, published: bool) -> nn.Module:
    """A learner on the device's own layout, with the suite's batch norm or PyTorch's."""
    torch.manual_seed(0)
    cls = BACKBONE_REGISTRY.load()[backbone]
    options = {"drop_rate": 0.0} if backbone == "resnet12" else {}
    norm = (lambda c: nn.BatchNorm2d(c, track_running_stats=False)) if published else BatchNorm
    learner_cls = LEARNER_REGISTRY.load()["fomaml" if order == "first" else "maml"]
    config = learner_cls.Config(
        n_way=N_WAY, inner_lr=LR, inner_steps=steps, test_inner_steps=steps, batch_norm="query"
    )
    net = cls(cls.Config(**options), size, norm=norm)
    return learner_cls(net, config, n_classes=N_WAY)


def make_batch(n_episodes: int, size: int, device: torch.device, published: bool) -> EpisodeBatch:
    """Random images; support first."""
    g = torch.Generator().manual_seed(0)
    per_class = N_SHOT + N_QUERY
    y_M = torch.arange(N_WAY).repeat(per_class)
    x = torch.randn(n_episodes * len(y_M), 3, size, size, generator=g).to(device)
    if not published:
        x = x.contiguous(memory_format=torch.channels_last)
    y_TM = y_M.expand(n_episodes, -1).contiguous().to(device)
    return EpisodeBatch(
        x.unflatten(0, (n_episodes, len(y_M))), y_TM, y_TM[:, :N_WAY], N_WAY * N_SHOT
    )


def contestant(
    name: str,
    backbone: str,
    size: int,
    order: str,
    steps: int,
    n_episodes: int,
    device: torch.device,
) -> Callable[[], object]:
    """A function that computes an outer gradient, or a forward pass, once."""
    published = name.endswith("published")
    learner = make_learner(backbone, size, order, steps, published).to(device).train()
    if not published:
        learner = learner.to(memory_format=torch.channels_last)
    assert isinstance(learner, GradientLearner)
    batch = make_batch(n_episodes, size, device, published)
    s = batch.n_support
    support = batch.x_TMCHW[:, :s], batch.y_TM[:, :s]
    inner = InnerLoop(LR, steps, first_order=order == "first", batch_norm="query")
    library = name.removesuffix(" published")

    if order == "forward":
        if library in OF_LIBRARIES:
            return lambda: forward_by_learn2learn(learner, batch, steps)

        def forward() -> torch.Tensor:
            with torch.no_grad():
                return learner.predict(learner.adapt(*support, N_WAY), batch.x_TMCHW[:, s:])

        return forward
    if name == "default":

        def step() -> torch.Tensor:
            loss = learner.loss(batch)
            loss.backward()
            return loss

        return step
    engine = ENGINES[library.removesuffix(" graph").removesuffix(" checkpointed")]
    if name.endswith("graph"):
        graph = Graphed(lambda *tensors: engine(learner, EpisodeBatch(*tensors, s), inner))
        return lambda: graph(*batch[:3])
    if name.endswith("checkpointed"):
        inner = replace(inner, checkpoint=True)
    return lambda: engine(learner, batch, inner)


def forward_by_learn2learn(net: nn.Module, batch: EpisodeBatch, steps: int) -> list[torch.Tensor]:
    """The inner loop at test as learn2learn's examples write it."""
    from learn2learn.algorithms import MAML

    s, logits = batch.n_support, []
    for x, y in zip(batch.x_TMCHW, batch.y_TM, strict=True):
        clone = MAML(net, lr=LR, first_order=True).clone()
        for _ in range(steps):
            clone.adapt(cross_entropy(clone(x[:s]), y[:s]))
        with torch.no_grad():
            logits.append(clone(x[s:]))
    return logits


def names_for(order: str, device: torch.device) -> list[str]:
    """The contestants of one order on one kind of device; of libraries, those that are there."""
    there = [each for each in OF_LIBRARIES if find_spec(each)]
    if order == "forward":
        return ["default", "learn2learn published"] if "learn2learn" in there else ["default"]
    graphs = ["loop graph", "vmap graph"] if device.type == "cuda" else []
    libraries = [each + end for each in there for end in (" published", "")]
    return ["default", "loop", "vmap", "loop checkpointed", *graphs, *libraries]


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one run, the device synchronised."""
    common.wait(device)
    start = time.perf_counter()
    run()
    common.wait(device)
    return time.perf_counter() - start


def race(
    backbone: str, size: int, order: str, steps: int, args: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """For each contestant: milliseconds an episode (median, best) and peak megabytes."""
    device = torch.device(args.device)
    shape = (backbone, size, order, steps, args.episodes)
    runs, out = dict[str, Callable[[], object]](), dict[str, dict[str, float]]()
    for name in names_for(order, device):
        if args.only and name not in args.only:
            continue
        try:
            run = contestant(name, *shape, device)
            machine.reset_peak_memory(device)
            run()
            if device.type == "cuda":
                out[name] = {"peak_mb": round(machine.peak_memory_bytes(device) / 2**20)}
            else:
                out[name] = {"peak_mb": memory_of_process(name, shape)} if args.memory else {}
            runs[name] = run
        except torch.OutOfMemoryError:
            print(f"    {name}: out of memory")
    turns = {name: partial(seconds_of, run, device) for name, run in runs.items()}
    for name, seconds in common.take_turns(turns, args.repeats).items():
        values = [1e3 * s / args.episodes for s in seconds]
        out[name] |= {"ms": round(statistics.median(values), 2), "best_ms": round(min(values), 2)}
    return out


def memory_of_process(name: str, shape: tuple[str, int, str, int, int]) -> float:
    """Megabytes that one run adds to a fresh process on the CPU."""
    command = [sys.executable, __file__, "--memory-of", name, *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def print_memory(name: str, *shape: str) -> None:
    """What `memory_of_process` reads."""
    backbone, size, order, steps, n_episodes = shape
    device = torch.device("cpu")
    run = contestant(name, backbone, int(size), order, int(steps), int(n_episodes), device)
    before = machine.peak_memory_bytes(device)
    run()
    print(round((machine.peak_memory_bytes(device) - before) / 2**20))


def main() -> None:
    """Read the options, race, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="BACKBONE-SIZE:STEPS")
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), choices=ORDERS)
    parser.add_argument("--only", nargs="+", help="contestants")
    parser.add_argument("--memory", action="store_true", help="on a CPU too, in fresh processes")
    parser.add_argument("--memory-of", nargs=6, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.memory_of:
        print_memory(*args.memory_of)
        return
    if args.device == "cpu":
        machine.keep_freed_memory()  # as `fewshot run` does; the other libraries gain by it too
    libraries = {name: machine.package_version(name) for name in OF_LIBRARIES}
    report = common.describe_run(args, torch.device(args.device), libraries=libraries)
    report["results"] = []
    for case in args.cases:
        net, _, steps_list = case.partition(":")
        backbone, _, size = net.rpartition("-")
        for steps in map(int, steps_list.split(",")):
            for order in args.orders:
                rows = race(backbone, int(size), order, steps, args)
                report["results"].append({"net": net, "steps": steps, "order": order, **rows})
                print(f"{net}, {steps} steps, {order}", flush=True)
                for name, row in rows.items():
                    memory = f"{row['peak_mb']:8.0f} MB" if "peak_mb" in row else ""
                    print(f"    {name:24}{row['ms']:10.2f} ms an episode{memory}", flush=True)
                common.write_report(args.json, report)


if __name__ == "__main__":
    main()
