"""Time the scoring of 10,000 episodes with a frozen backbone, in units of embedding the images.

    python benchmarks/speed/evaluation.py [--data DIR] [--json FILE]

Each learner scores 5-way 5-shot episodes with 15 queries of a test split, as `fewshot run` does:
the split is embedded once, and every episode is drawn, adapted to and predicted from the table of
features. `embedding` is the same pass of the same images through the same backbone and no more.
All take turns, after a round that does not count; medians. Weights are random: they change no
time, but for that of the logistic head, which takes a step or two more on separable features.
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import common
import torch

from fewshot import data, machine
from fewshot.backbones.precision import Bf16
from fewshot.backbones.registry import BACKBONE_REGISTRY
from fewshot.data.catalogue import known_datasets
from fewshot.episodes.augment import AUGMENTS
from fewshot.episodes.source import EpisodeSource
from fewshot.episodes.tensors import Images
from fewshot.harness.evaluate import evaluate
from fewshot.harness.recipe import Scoring
from fewshot.harness.views import EMBED_BATCH
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.protocols import FeatureLearner

NAMES = ("protonet", "transfer")  # nearest prototype, and the logistic head


def make_learner(
    name: str, backbone: str, source: EpisodeSource, device: torch.device
) -> FeatureLearner:
    """A learner with random weights, in bfloat16 and with channels last, as benchmarks have it."""
    torch.manual_seed(0)
    cls, net = LEARNER_REGISTRY.load()[name], BACKBONE_REGISTRY.load()[backbone]
    learner = cls(Bf16(net(net.Config(), source.image_size)), cls.Config(), len(source.class_names))
    assert isinstance(learner, FeatureLearner)
    return learner.to(device).to(memory_format=torch.channels_last).eval()


@torch.no_grad()
def embedding_s(learner: FeatureLearner, source: EpisodeSource, device: torch.device) -> float:
    """Seconds to embed all images of a split once."""
    images = Images(source, device)
    common.wait(device)
    start = time.perf_counter()
    for rows in torch.from_numpy(source.indices).split(EMBED_BATCH):
        learner.embed(images.normalized(images.pixels(rows.numpy())))
    common.wait(device)
    return time.perf_counter() - start


def scoring_s(
    learner: FeatureLearner, source: EpisodeSource, scoring: Scoring, device: torch.device
) -> float:
    """Seconds to score a learner, embedding included."""
    return evaluate(learner, source, scoring, AUGMENTS["none"], device).total_s


def main() -> None:
    """Read the options, take turns, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="where images are kept")
    parser.add_argument("--dataset", default="cifar-fs")
    parser.add_argument("--backbone", default="conv4")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the result here too")
    args = parser.parse_args()
    device = torch.device(args.device)
    machine.keep_freed_memory()
    directory = data.data_dir(args.data)
    source = data.open_source(args.dataset, "test", directory, known_datasets())
    learners = {name: make_learner(name, args.backbone, source, device) for name in NAMES}
    scoring = Scoring(n_way=5, n_shot=5, n_query=15, episodes=args.episodes)
    runs = {"embedding": partial(embedding_s, learners["protonet"], source, device)}
    for name, learner in learners.items():
        runs[name] = partial(scoring_s, learner, source, scoring, device)
    times = common.take_turns(runs, args.rounds)
    unit_s = statistics.median(times["embedding"])
    report = common.describe_run(args, device, images=len(source.indices))
    report["results"] = {}
    print(f"{len(source.indices):,} images, {args.episodes:,} episodes, {args.rounds} rounds")
    for name, seconds in times.items():
        median_s = statistics.median(seconds)
        report["results"][name] = {
            "seconds": seconds,
            "median_s": median_s,
            "ratio": median_s / unit_s,
        }
        print(f"{name:10}  {median_s:7.2f} s  {median_s / unit_s:5.2f} times the embedding")
    common.write_report(args.json, report)


if __name__ == "__main__":
    main()
