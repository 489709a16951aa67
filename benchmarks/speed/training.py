"""Time training steps: the suite's against a plain loop, and what the harness adds to a step.

    python benchmarks/speed/training.py [--data DIR] [--json FILE]

The training of `transfer` (softmax over all training classes, SGD, crops and flips) in ways that
take turns of some seconds, after a round that does not count; medians of images a second:

plain     as most repositories do it: float32, NCHW, one batch that lies ready in memory
step      the suite's step, bfloat16 and channels last, on one batch that lies ready in memory; on
          a processor that would emulate bfloat16 this, `harness` and learners are in float32
float32   the same step in float32
winograd  the same in float32 with Winograd's convolutions, on a CPU
harness   `fewshot.harness.train.train` as benchmarks run it: draws, augmentation, clock and
          checks included
learners  then every learner of `cifar_fs.toml` under its own recipe, by the harness, some steps

How near that is to what the machine can do: operations of the convolutions and products of the
backbone in a second, over those of a product of two large matrices (`EDGES`) in the same precision,
timed in the same turns. The operations are those of convolutions as they are defined, so that
Winograd's, which takes fewer, may come to more than 100 %. For engines of the inner loop against
learn2learn see `engines.py`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import common
import torch

from fewshot import data, machine
from fewshot.backbones.precision import float32_products
from fewshot.data.catalogue import known_datasets
from fewshot.episodes.augment import AUGMENTS
from fewshot.episodes.source import EpisodeSource
from fewshot.harness.optimizers import make_optimizer
from fewshot.harness.recipe import Recipe
from fewshot.harness.train import train
from fewshot.protocols import ImageBatch, Learner
from fewshot.runner.benchmark import load_benchmark
from fewshot.runner.build import build_learner
from fewshot.runner.cells import Cell, Training
from fewshot.runner.dry_run.flops import unit_flops
from fewshot.runner.workspace import open_workspace

EDGES = {"cpu": 2048, "cuda": 8192}  # of the matrices whose product is the machine's limit
PRODUCTS = {"cpu": 5, "cuda": 50}
classes_of = open_workspace(".").classes


def steps_of(
    learner: Learner, recipe: Recipe, source: EpisodeSource, last: bool, steps: int
) -> Callable[[], float]:
    """Images a second of so many steps on one batch; `last`: channels last in memory."""
    layout = torch.channels_last if last else torch.contiguous_format
    device = next(learner.parameters()).device
    learner.to(memory_format=layout).train()
    optimizer = make_optimizer(learner.parameters(), recipe)
    shape = (recipe.batch_size, 3, source.image_size, source.image_size)
    x_ICHW = torch.randn(shape, device=device).contiguous(memory_format=layout)
    batch = ImageBatch(x_ICHW, torch.arange(len(x_ICHW), device=device) % learner.n_classes)

    def run() -> float:
        common.wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            loss = learner.loss(batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        common.wait(device)
        return steps * len(x_ICHW) / (time.perf_counter() - start)

    return run


def harness_rate(
    training: Training, source: EpisodeSource, device: torch.device, steps: int
) -> float:
    """Images a second of a training's first steps, as its record has them; no validation."""
    recipe = replace(training.recipe, steps=steps + 1, images=None, validations=0, select="last")
    learner = build_learner(training, classes_of(training), source, device)
    augment = AUGMENTS[recipe.augment]
    spent = train(learner, source, augment, lambda _: 0.0, recipe, 0, device).spent
    return spent.images * steps / (steps + 1) / spent.train_s  # the first step is warm-up


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a product of large square matrices."""
    edge, products = EDGES[device.type], PRODUCTS[device.type]
    a, b = (torch.randn(edge, edge, device=device).to(dtype) for _ in range(2))
    common.wait(device)
    start = time.perf_counter()
    for _ in range(products):
        a @ b
    common.wait(device)
    return products * 2 * edge**3 / (time.perf_counter() - start)


def trainings() -> dict[str, Training]:
    """One training for each learner of the benchmark, by name."""
    found: dict[str, Training] = {}
    for cell in load_benchmark("cifar_fs"):
        found.setdefault(cell.training.learner, cell.training)
    return {name: t for name, t in found.items() if classes_of(t).learner.trains_on != "nothing"}


def race(
    training: Training, source: EpisodeSource, device: torch.device, args: argparse.Namespace
) -> dict[str, list[float]]:
    """Images a second of each way in each round, and the machine's rates."""
    in_float32 = _in_float32(training)
    winograd = replace(in_float32, recipe=replace(in_float32.recipe, convolutions="winograd"))

    def steps(of: Training, last: bool) -> Callable[[], float]:
        learner = build_learner(of, classes_of(of), source, device)
        return steps_of(learner, of.recipe, source, last, args.steps)

    some = {"winograd": steps(winograd, last=True)} if device.type == "cpu" else {}
    if training.recipe.precision == "bf16":
        some["bfloat16 products"] = partial(matrix_rate, device, torch.bfloat16)
    return common.take_turns(
        {
            "plain": steps(in_float32, last=False),
            "step": steps(training, last=True),
            "float32": steps(in_float32, last=True),
            "harness": partial(harness_rate, training, source, device, args.steps),
            "float32 products": partial(matrix_rate, device, torch.float32),
            **some,
        },
        args.rounds,
    )


def main() -> None:
    """Read the options, take turns, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="where images are kept")
    parser.add_argument("--dataset", default="cifar-fs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbones", nargs="+", default=["conv4", "resnet12"])
    parser.add_argument("--steps", type=int, default=20, help="of a turn; a tenth for resnet12")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--learner-steps", type=int, default=5, help="0: leave the learners out")
    parser.add_argument("--json", type=Path, help="write the result here too")
    args = parser.parse_args()
    device = torch.device(args.device)
    machine.keep_freed_memory()
    emulated = device.type == "cpu" and not machine.computes_bf16()
    known = trainings()
    directory = data.data_dir(args.data)
    source = data.open_source(args.dataset, "train", directory, known_datasets())
    report = common.describe_run(args, device)
    for backbone in args.backbones:
        training = next(c.training for c in _transfer_cells() if c.training.backbone == backbone)
        if emulated:
            training = _in_float32(training)
        own = argparse.Namespace(**vars(args))
        if backbone != "conv4":
            own.steps = max(1, args.steps // 10)
        with float32_products(tf32=False):  # float32 is what it says, on a GPU too
            turns = race(training, source, device, own)
        rates = {way: statistics.median(values) for way, values in turns.items()}
        flops = unit_flops(training, classes_of(training), source.image_size)
        in_float32, own = rates["float32 products"], rates.get("bfloat16 products")
        reached = {
            way: rate * flops / (own if own and way in ("step", "harness") else in_float32)
            for way, rate in rates.items()
            if not way.endswith("products")
        }
        report[backbone] = {
            "precision": training.recipe.precision,
            "rates": rates,
            "flops_per_image": flops,
            "share_of_limit": reached,
        }
        for way, share in reached.items():
            print(
                f"{backbone:9} {way:8} {rates[way]:8,.0f} images/s  "
                f"{rates[way] / rates['plain']:5.2f} times plain  {100 * share:3.0f} % of the "
                f"machine's rate"
            )
        print(
            f"{backbone:9} harness over step: {100 * (rates['step'] / rates['harness'] - 1):+.1f} %"
        )
    report["learners"] = {}
    common.write_report(args.json, report)
    for name, given in known.items() if args.learner_steps else ():
        training = _in_float32(given) if emulated else given
        harness_rate(training, source, device, 1)
        rate = harness_rate(training, source, device, args.learner_steps)
        report["learners"][name] = rate
        print(f"{name:16} {rate:8,.0f} images/s")
        common.write_report(args.json, report)


def _in_float32(training: Training) -> Training:
    return replace(training, recipe=replace(training.recipe, precision="fp32"))


def _transfer_cells() -> list[Cell]:
    return [cell for cell in load_benchmark("cifar_fs") if cell.training.learner == "transfer"]


if __name__ == "__main__":
    main()
