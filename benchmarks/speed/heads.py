"""Race the support vector machine of MetaOptNet against qpth, forward and backward.

    python benchmarks/speed/heads.py [--device cuda] [--shots 5 15] [--json FILE]

Needs qpth, which needs numpy below 2: `tox -e heads` makes an environment with both and runs this.
Both solve the same dual (`fewshot/heads/svm.py`) from float32 features of 8 episodes, 5-way, and
take the gradient of the query loss with respect to the features. qpth gets the whole problem as
the authors of MetaOptNet wrote it, at their 15 iterations, and at 3; this project solves to
`--tolerance`. They take turns after a first round that does not count; medians. `error` is the
largest difference of the dual variables from a solution in float64 at tolerance 1e-11, whose
optimality the tests check against cvxpy.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import common
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

from fewshot import machine
from fewshot.heads import svm
from fewshot.heads.support import linear_logits

C, RIDGE = 0.1, 1.0


def make_episodes(
    n_episodes: int, n_way: int, n_shot: int, n_features: int, norm: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Overlapping classes: support features and labels, query features and labels."""
    g = torch.Generator().manual_seed(0)
    centre_TND = torch.randn(n_episodes, n_way, n_features, generator=g)

    def draw(per_class: int) -> tuple[Tensor, Tensor]:
        y_S = torch.arange(n_way).repeat_interleave(per_class)
        noise_TSD = torch.randn(n_episodes, len(y_S), n_features, generator=g)
        z_TSD = norm * normalize(centre_TND[:, y_S] + noise_TSD, dim=-1)
        return z_TSD.to(device), y_S.expand(n_episodes, -1).contiguous().to(device)

    return *draw(n_shot), *draw(15)


def alpha_by_qpth(z_TSD: Tensor, y_TS: Tensor, n_way: int, iterations: int) -> Tensor:
    """The dual as one quadratic program of N S variables an episode."""
    # qpth imports cvxpy for a solver that is not used here, and that not every machine has.
    if "cvxpy" not in sys.modules and find_spec("cvxpy") is None:
        sys.modules["cvxpy"] = ModuleType("cvxpy")
    from qpth.qp import QPFunction

    n_episodes, n_support, _ = z_TSD.shape
    n_variables = n_support * n_way
    like = {"dtype": z_TSD.dtype, "device": z_TSD.device}
    eye_N, eye_V = torch.eye(n_way, **like), torch.eye(n_variables, **like)
    gram_TSS = z_TSD @ z_TSD.mT
    # Variable s * N + n is alpha of support image s and class n.
    quadratic_TVV = torch.stack([torch.kron(gram_SS, eye_N) for gram_SS in gram_TSS])
    quadratic_TVV = quadratic_TVV + RIDGE * eye_V
    target_TV = one_hot(y_TS, n_way).to(z_TSD.dtype).flatten(1)
    sums_TSV = torch.kron(torch.eye(n_support, **like), torch.ones(1, n_way, **like))
    alpha_TV = QPFunction(verbose=-1, maxIter=iterations)(
        quadratic_TVV,
        -target_TV,
        eye_V.expand(n_episodes, -1, -1),
        C * target_TV,
        sums_TSV.expand(n_episodes, -1, -1),
        torch.zeros(n_episodes, n_support, **like),
    )
    return alpha_TV.unflatten(1, (n_support, n_way)).to(z_TSD.dtype)


def race(n_shot: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """For each contestant: milliseconds for all episodes forward, and with backward; error."""
    device = torch.device(args.device)
    z_TSD, y_TS, query_z_TQD, query_y_TQ = make_episodes(
        args.episodes, args.way, n_shot, args.features, args.norm, device
    )
    exact = svm.fit(z_TSD.double(), y_TS, args.way, C, RIDGE, tolerance=1e-11).alpha_TSN
    solvers: dict[str, Callable[[Tensor], Tensor]] = {
        "ours": lambda z: svm.fit(z, y_TS, args.way, C, RIDGE, args.tolerance).alpha_TSN,
    }
    if find_spec("qpth"):
        solvers["qpth 15"] = lambda z: alpha_by_qpth(z, y_TS, args.way, 15)
        solvers["qpth 3"] = lambda z: alpha_by_qpth(z, y_TS, args.way, 3)

    def measure(solve: Callable[[Tensor], Tensor]) -> tuple[float, float, float]:
        z = z_TSD.clone().requires_grad_()
        common.wait(device)
        start = time.perf_counter()
        alpha_TSN = solve(z)
        common.wait(device)
        solved = time.perf_counter()
        logits_TQN = linear_logits(svm.weights(z, alpha_TSN), query_z_TQD)
        cross_entropy(logits_TQN.flatten(0, 1), query_y_TQ.flatten()).backward()
        common.wait(device)
        total = time.perf_counter() - start
        return solved - start, total, float((alpha_TSN.detach() - exact).abs().max())

    out: dict[str, dict[str, float]] = {}
    runs = {name: partial(measure, solve) for name, solve in solvers.items()}
    for name, turns in common.take_turns(runs, args.repeats).items():
        forward, both = (statistics.median(turn[k] for turn in turns) for k in range(2))
        out[name] = {
            "error": turns[-1][2],
            "forward_ms": round(1e3 * forward, 3),
            "total_ms": round(1e3 * both, 3),
        }
    return out


def main() -> None:
    """Read the options, race, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--episodes", type=int, default=8)
    parser.add_argument("--shots", type=int, nargs="+", default=[5, 15])
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--norm", type=float, default=10.0)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    results = []
    for n_shot in args.shots:
        row = race(n_shot, args)
        results.append({"shots": n_shot, **row})
        print(f"{args.way}-way {n_shot}-shot, {args.episodes} episodes")
        for name, values in row.items():
            print(
                f"    {name:10}{values['forward_ms']:10.2f} ms forward"
                f"{values['total_ms']:10.2f} ms with backward   error {values['error']:.1e}"
            )
    facts = {"qpth": machine.package_version("qpth")}
    report = common.describe_run(args, torch.device(args.device), **facts)
    common.write_report(args.json, {**report, "results": results})


if __name__ == "__main__":
    main()
