"""Time an episode of the batched logistic head beside scikit-learn's, and check that they agree.

    python benchmarks/speed/logistic.py [--episodes 500] [--shots 1 5 20] [--json FILE]

A run fits every episode, 5-way unless told otherwise, and predicts the probabilities of its 75
queries, from float32 features already in memory. scikit-learn takes episodes one by one, as its
interface asks, with its default solver: at its default tolerance and 100 steps, and at a tight
tolerance (which it reaches in float64 only). All run with one thread and with the default number.
The contestants take turns, after a first run that does not count; the median of the repeats is
given. The time of a run is a sum over episodes, so scikit-learn may be timed on the first few of
them (--sklearn-episodes). Times are of the wall clock, and in `cpu_ms` of all cores together: with
one thread, that is the one to read on a busy machine.
"""

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.heads import logistic

TIGHT = 1e-8


class Episodes(NamedTuple):
    """Synthetic features with their labels."""

    support_z_TSD: Tensor
    support_y_TS: Tensor
    query_z_TQD: Tensor
    query_y_TQ: Tensor


def make_episodes(
    n_episodes: int, n_way: int, n_shot: int, n_features: int, norm: float, seed: int
) -> Episodes:
    """Overlapping classes, few strong directions, no negative values: as a trained network's.

    At norm 1 and 256 features, 5-way accuracies are about 68, 92 and 98 % at 1, 5 and 20 shots.
    """
    g = torch.Generator().manual_seed(seed)
    centre_TND = torch.randn(n_episodes, n_way, n_features, generator=g)
    scale_D = torch.arange(1, n_features + 1) ** -0.5

    def draw(per_class: int) -> tuple[Tensor, Tensor]:
        y_S = torch.arange(n_way).repeat_interleave(per_class)
        noise_TSD = torch.randn(n_episodes, len(y_S), n_features, generator=g)
        z_TSD = torch.relu((0.7 * centre_TND[:, y_S] + noise_TSD + 0.3) * scale_D)
        return norm * normalize(z_TSD, dim=-1), y_S.expand(n_episodes, -1)

    return Episodes(*draw(n_shot), *draw(15))


def batched(episodes: Episodes, n_way: int, c: float) -> np.ndarray:
    """Probabilities of the queries by this project's head."""
    head = logistic.fit(episodes.support_z_TSD, episodes.support_y_TS, n_way, c=c)
    return logistic.logits(head, episodes.query_z_TQD).softmax(-1).numpy()


def one_by_one(episodes: Episodes, n: int, c: float, tol: float) -> tuple[np.ndarray, float]:
    """The same of the first n episodes by scikit-learn, and the share that hit its step cap."""
    model = LogisticRegression(C=c, tol=tol, max_iter=100_000 if tol == TIGHT else 100)
    z_TSD, y_TS, query_z_TQD, _ = (x.numpy() for x in episodes)
    p_TQN, capped = [], 0
    for t in range(n):
        p_TQN.append(model.fit(z_TSD[t], y_TS[t]).predict_proba(query_z_TQD[t]))
        capped += int(model.n_iter_.max() >= model.max_iter)
    return np.stack(p_TQN), capped / n


def race(args: argparse.Namespace, n_shot: int) -> dict[str, float]:
    """Milliseconds an episode of each contestant at one shot, and how far they agree."""
    shape = (args.episodes, args.way, n_shot, args.features)
    episodes = make_episodes(*shape, args.norm, args.seed)
    # In float32, scikit-learn stops short of a tight tolerance.
    wide = Episodes(*(x.double() if x.is_floating_point() else x for x in episodes))
    n = min(args.sklearn_episodes or args.episodes, args.episodes)
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        "ours": (args.episodes, lambda: batched(episodes, args.way, args.c)),
        "sklearn_tol_1e-4": (n, lambda: one_by_one(episodes, n, args.c, 1e-4)),
        "sklearn_tol_1e-8": (n, lambda: one_by_one(wide, n, args.c, TIGHT)),
    }
    default_threads = torch.get_num_threads()
    times: dict[str, list[float]] = {}
    for repeat in range(args.repeats + 1):
        for name, (count, run) in contestants.items():
            for threads, limit in (("1_thread", 1), ("default_threads", default_threads)):
                torch.set_num_threads(limit)
                with threadpool_limits(1 if limit == 1 else None):
                    start, cpu_start = time.perf_counter(), time.process_time()
                    run()
                    seconds = time.perf_counter() - start
                    cpu_seconds = time.process_time() - cpu_start
                if repeat:
                    key = f"{name}_{threads}"
                    times.setdefault(f"{key}_ms", []).append(1e3 * seconds / count)
                    times.setdefault(f"{key}_cpu_ms", []).append(1e3 * cpu_seconds / count)
    torch.set_num_threads(default_threads)
    ours_TQN = batched(episodes, args.way, args.c)
    theirs_TQN, _ = one_by_one(wide, n, args.c, TIGHT)
    right_TQ = ours_TQN.argmax(-1) == episodes.query_y_TQ.numpy()
    return {
        "shots": n_shot,
        **{name: round(statistics.median(values), 4) for name, values in times.items()},
        "sklearn_tol_1e-4_share_stopped_at_100_steps": one_by_one(episodes, n, args.c, 1e-4)[1],
        "same_predictions": float((ours_TQN[:n].argmax(-1) == theirs_TQN.argmax(-1)).mean()),
        "max_probability_difference": float(np.abs(ours_TQN[:n] - theirs_TQN).max()),
        "accuracy": round(float(right_TQ.mean()), 4),
    }


def machine() -> dict[str, str | int]:
    """What the times depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count() or 0,
        "default_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "scikit_learn": sklearn.__version__,
    }


def main() -> None:
    """Read the options, race, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--sklearn-episodes", type=int, help="default: all")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--norm", type=float, default=1.0)
    parser.add_argument("--c", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")  # not converged at its own default cap
    host = machine()
    print(*(f"{key}: {value}" for key, value in host.items()), sep="\n")
    results = []
    for n_shot in args.shots:
        row = race(args, n_shot)
        results.append(row)
        print(*(f"{key:>44}: {value:.4g}" for key, value in row.items()), sep="\n", flush=True)
    if args.json:
        options = {key: value for key, value in vars(args).items() if key != "json"}
        report = {"machine": host, "options": options, "results": results}
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
