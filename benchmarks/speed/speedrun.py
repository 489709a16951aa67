"""Do the trainings of `speedrun.toml` reach their targets, and in what time?

    fewshot run benchmarks/speed/speedrun.toml
    python benchmarks/speed/speedrun.py results/speedrun [--json FILE]

The rule: the mean test accuracy over training seeds is at or above the target, with p < 0.01 (one
sample of seeds, one-sided t test: what another seed would give; the episodes are the same for all).
With one seed there is no p, and the interval over test episodes is all that can be said.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
from scipy import stats

from fewshot.results.files import CellResult, read_cells
from fewshot.results.grouping import grouped
from fewshot.statistics.intervals import mean_ci95

TARGETS = {
    ("cifar-fs", "conv4"): 0.76,  # what a plain script reached in 178 s on two cores
    ("cifar-fs", "resnet12"): 0.841,  # Wang et al. (2021), table 1: MTL-ours, 5-way 5-shot
    ("mini-imagenet", "resnet12"): 0.777,  # the same
}
LEVEL = 0.01


def verdict(accuracies: Sequence[float], target: float) -> tuple[float | None, str]:
    """The p of the rule, and its verdict in words, for the mean accuracy of each seed.

    >>> verdict([0.77, 0.771, 0.769], 0.76)[1]
    'reached'
    >>> verdict([0.77], 0.76)
    (None, 'above, one seed')
    """
    mean = statistics.mean(accuracies)
    if len(accuracies) < 2:
        return None, f"{'above' if mean >= target else 'below'}, one seed"
    p = float(stats.ttest_1samp(accuracies, target, alternative="greater").pvalue)
    if mean < target:
        return p, "missed"
    return p, "reached" if p < LEVEL else f"above, but p >= {LEVEL}"


def summary(cells: Sequence[CellResult], target: float) -> dict[str, Any]:
    """One recipe's seeds: accuracy against the target, and what the trainings cost."""
    runs = [cell.run.json for cell in cells]
    accuracies = [float(cell.episodes["accuracy"].mean()) for cell in cells]
    spent = [run["training"]["spent"] for run in runs]
    per_episode = sum(cell.episodes["accuracy"] for cell in cells) / len(cells)
    p, words = verdict(accuracies, target)
    return {
        "target": target,
        "verdict": words,
        "p": p,
        "seeds": [run["config"]["training"]["seed"] for run in runs],
        "accuracies": accuracies,
        "accuracy": statistics.mean(accuracies),
        "episodes_ci95": mean_ci95(per_episode).ci95,
        "train_s": [s["train_s"] for s in spent],
        "warmup_s": [s["warmup_s"] for s in spent],
        "images": spent[0]["images"],
        "others": [s["others"] for s in spent],
        "host": runs[0]["training"]["host"],
        "git": runs[0]["training"]["git"],
        "recipe": runs[0]["config"]["training"],
    }


def _recipe(cell: CellResult) -> tuple[str, str]:
    training = cell.run.config.training
    return training.dataset, training.backbone


def main() -> None:
    """Read the cells, judge each recipe, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("--json", type=Path, help="write the result here too")
    args = parser.parse_args()
    groups = grouped(read_cells(args.cells), _recipe)
    found = {f"{d} {b}": summary(cells, TARGETS[d, b]) for (d, b), cells in groups.items()}
    for name, s in found.items():
        p = "" if s["p"] is None else f" (p = {s['p']:.1g})"
        disturbed = max((o for o in s["others"] if o is not None), default=0.0)
        print(
            f"{name}: {100 * s['accuracy']:.2f} ± {100 * s['episodes_ci95']:.2f} % over "
            f"{len(s['seeds'])} seeds, target {100 * s['target']:.1f} %: {s['verdict']}{p}; "
            f"{statistics.mean(s['train_s']):.1f} s of training ({min(s['train_s']):.1f} to "
            f"{max(s['train_s']):.1f}), warm-up {statistics.mean(s['warmup_s']):.1f} s, "
            f"{s['images']:,} images; others used at most {100 * disturbed:.0f} % of the machine"
        )
    common.write_report(args.json, found)


if __name__ == "__main__":
    main()
