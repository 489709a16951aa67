"""A comparison as text, markdown or JSON."""

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np

from fewshot.reporting.grid import Grid
from fewshot.results.comparison import Comparison
from fewshot.results.rivals import SIGNIFICANCE
from fewshot.statistics.intervals import Interval
from fewshot.statistics.paired import Paired
from fewshot.units import HOLE, difference, p_value, signed

Format = Literal["text", "md", "json"]


def render(found: Sequence[Comparison], form: Format, width: int | None = None) -> str:
    """Return one pair as a report, many as a table."""
    if form == "json":
        records = [_plain({**vars(c), "verdict": c.verdict}) for c in found]
        return json.dumps(records, indent=2) + "\n"
    if form == "text" and len({(c.a, c.b) for c in found}) == 1:
        return "\n".join(_report(c, len(found)) for c in found)
    header = ["", "A", "B", "A − B", "p (Holm)", "resolvable", "episodes needed", "verdict"]
    lines = [[c.column, c.a, c.b, *_numbers(c), _verdict(c)] for c in found]
    grid = Grid(header, lines, _footer(found))
    return grid.markdown() if form == "md" else grid.text(width)


def _report(c: Comparison, tests: int) -> str:
    lines = [f"{c.column}: {c.a} less {c.b}"]
    if c.over_episodes is None:
        return f"{lines[0]}\n  {c.verdict}\n"
    o, low, high = c.over_episodes, *c.over_episodes.bootstrap
    holm_p = f", {_p(c.holm_p)} with Holm's correction for {tests} tests" if tests > 1 else ""
    data = "no cell of these has disjoint episodes" if c.over_data is None else _points(c.over_data)
    seeds = c.over_seeds and _points(c.over_seeds)
    lines += [
        f"  over episodes  {_points(o)}, 95 %, the same {o.episodes:,} episodes",
        f"  bootstrap      {signed(low, signed_zero=True).text} to "
        f"{signed(high, signed_zero=True).text}",
        f"  permutation    {_p(o.permutation_p)}{holm_p}",
        f"  over seeds     {seeds}",
        f"  over data      {data}",
        f"  resolvable     {100 * o.resolvable:.2f} points with {o.episodes:,} episodes; "
        f"{_needed(o)} episodes would resolve the difference seen",
        f"  verdict        {_verdict(c)}",
    ]
    return "\n".join(lines) + "\n"


def _numbers(c: Comparison) -> list[str]:
    if c.over_episodes is None:
        return 4 * [HOLE]
    o = c.over_episodes
    return [_points(o), _p(c.holm_p), f"{100 * o.resolvable:.2f}", _needed(o)]


def _verdict(c: Comparison) -> str:
    return f"{c.verdict} (mixed: {'; '.join(c.mixed)})" if c.mixed else c.verdict


def _footer(found: Sequence[Comparison]) -> str:
    tests = sum(c.over_episodes is not None for c in found)
    return (
        "Differences in points of accuracy over the same episodes, ± half-width of the 95 % t "
        f"interval over episodes. p: paired permutation test, Holm's correction for {tests} tests; "
        f"a verdict needs p ≤ {SIGNIFICANCE:g}. On these episodes: of these trained weights, with "
        "one seed or an interval over seeds that holds 0; another training may tell otherwise. "
        "Resolvable: the smallest difference that so many episodes find four times in five, tested "
        "alone; needed: episodes that would resolve the one seen."
    )


def _points(interval: Interval | Paired) -> str:
    return difference(interval.mean, interval.ci95, signed_zero=True).text


def _p(p: float | None) -> str:
    text = p_value(p).text
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _needed(o: Paired) -> str:
    return HOLE if o.needed is None else f"{o.needed:,}"


def _plain(value: object) -> object:
    """Return a value for JSON: an interval or a test by the names of its values, nan as None."""
    if isinstance(value, Interval | Paired):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
