"""The columns that a table can have, by their names for `--columns` and `--sort`."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fewshot.errors import UserError, unknown_name
from fewshot.reporting.tables import costs
from fewshot.reporting.tables.costs import NO_VALUE, Value, reached, reached_value
from fewshot.reporting.tables.lines import Column, Line
from fewshot.reporting.tables.view import View
from fewshot.results.curves import target_of
from fewshot.results.rows import Over, shape_of
from fewshot.results.timing import Costs
from fewshot.units import percent

SCORES, TARGET, SEEDS, PROTOCOL = "scores", "target", "seeds", "protocol"
PUBLISHED, GAP = "published", "gap"
NAMES = ("learner", "backbone")
"""The columns that every table begins with."""


class Cost(NamedTuple):
    """A column about costs: its heading and its values.

    of_episodes: whether it is about test episodes; those of the most ways, and of these of the most
    shots, count.
    """

    header: str
    value: Callable[[Costs], Value]
    larger_first: bool = False
    of_episodes: bool = False


COSTS: dict[str, tuple[Cost, ...]] = {
    "training": (Cost("training", costs.training),),
    "warmup": (Cost("warm-up", costs.warmup),),
    "images": (Cost("images seen", costs.images),),
    "episodes/s": (
        Cost("episodes/s", costs.episodes_a_second, larger_first=True, of_episodes=True),
    ),
    "ms/episode": (Cost("ms/episode", costs.episode_ms, of_episodes=True),),
    "memory": (Cost("MB, training", costs.training_mb), Cost("MB, test", costs.scoring_mb)),
    "cpu": (
        Cost("CPU time, training", costs.cpu_of_training),
        Cost("CPU time, test", costs.cpu_of_test),
    ),
    "others": (
        Cost("others, training", costs.others_in_training),
        Cost("others, test", costs.others_in_test),
    ),
}
COLUMNS = (SCORES, *COSTS, TARGET, SEEDS, PROTOCOL)
ONE_DATA_SET = (SCORES, "training", "images", "episodes/s", SEEDS)
SEVERAL_DATA_SETS = (SCORES, "training", SEEDS)
"""The columns of a table unless others are chosen: each data set has its own columns of costs."""


def chosen_columns(view: View, lines: Sequence[Line]) -> list[str]:
    """Return NAMES and those of COLUMNS that a view asks for, or the usual ones.

    What the headings of groups say is left out. A user who names a target is shown the time to it.

    Raises UserError for an unknown name.
    """
    names = [name for name in NAMES if name == "learner" or name != view.group]
    if view.columns is not None:
        for name in view.columns:
            if name not in COLUMNS:
                raise unknown_name("column", name, COLUMNS)
        return [*names, *dict.fromkeys(view.columns)]
    usual = ONE_DATA_SET if len(_cost_names(lines)) == 1 else SEVERAL_DATA_SETS
    differ = view.group != PROTOCOL and len({line.protocol for line in lines}) > 1
    to_target = [] if view.target is None else [TARGET]
    return [*names, *usual, *to_target, *([PROTOCOL] if differ else [])]


def columns_of(
    name: str, lines: Sequence[Line], over: Over = "episodes", target: float | None = None
) -> list[Column]:
    """Return the columns of a name: one for each score, or one cost for each data set.

    over: the repetition that intervals are over. target: the one that was asked for.

    Raises UserError where times to a target are asked for without a target, or to several.
    """
    if name == SCORES:
        return [_score_column(header, lines, over) for header in score_headers(lines)]
    if name == TARGET:
        return [_target_column(of, lines, target) for of in _cost_names(lines)]
    if name in COSTS:
        return [
            _cost_column(name, cost, of, lines) for cost in COSTS[name] for of in _cost_names(lines)
        ]
    return [Column(name, (name,), tuple(_fact(name, line) for line in lines))]


def column_to_sort_by(name: str, lines: Sequence[Line], over: Over, target: float | None) -> Column:
    """Return the column of this name or heading; 5w1s names a score by its shape alone.

    Raises UserError where there is none, or several.
    """
    keys = [key for key in (*NAMES, *COLUMNS) if key == name or name.startswith(f"{key} ")]
    # Targets are looked at only where they are asked for: a table may do without them.
    keys = keys or [key for key in COLUMNS if key != TARGET]
    every = [column for key in keys for column in columns_of(key, lines, over, target)]
    found = [column for column in every if name in (column.header, *column.names)]
    if not found:
        known = [*NAMES, *COLUMNS, *(column.header for column in every)]
        raise unknown_name("column to sort by", name, known)
    if len(found) > 1:
        headers = ", ".join(f"'{column.header}'" for column in found)
        raise UserError(f"--sort '{name}' stands for several columns: {headers}")
    return found[0]


def score_headers(lines: Sequence[Line]) -> list[str]:
    """Return the headings of all scores, data sets together, fewer shots first."""
    found = {header: column for line in lines for header, column in line.scores.items()}
    return sorted(found, key=lambda header: (header.rpartition(" ")[0], *shape_of(found[header])))


def _score_column(header: str, lines: Sequence[Line], over: Over) -> Column:
    def value(line: Line) -> Value:
        if header not in line.scores:
            return NO_VALUE
        return Value(*percent(*line.row.scores[line.scores[header]].interval(over)))

    names = (SCORES, header.split()[-1])
    return Column(header, names, tuple(value(line) for line in lines), larger_first=True)


def _cost_column(name: str, cost: Cost, of: str, lines: Sequence[Line]) -> Column:
    behind = [line.costs.get(of, Costs(())) for line in lines]
    header = cost.header + of
    shapes = {cell.run.config.scoring.shape for own in behind for cell in own.cells}
    if cost.of_episodes and shapes:
        behind = [own.at_shape(max(shapes)) for own in behind]
        shown = {column.split()[1] for line in lines for column in line.scores.values()}
        header += " {}w{}s".format(*max(shapes)) if len(shown) > 1 else ""
    values = tuple(cost.value(own) if own.cells else NO_VALUE for own in behind)
    return Column(header, (name, name + of), values, cost.larger_first)


def _target_column(of: str, lines: Sequence[Line], asked: float | None) -> Column:
    behind = [line.costs.get(of, Costs(())) for line in lines]
    targets = {target_of(cell, asked) for part in behind for cell in part.trained} - {None}
    if len(targets) != 1:
        shown = ", ".join(f"{target:g}" for target in sorted(t for t in targets if t))
        problem = f"these cells have several targets: {shown}" if targets else "no target is set"
        raise UserError(f"time to target{of}: {problem}; --target 0.65 sets one for all")
    found = [reached(part, asked) for part in behind]
    shapes = {outcome.shape for outcome in found if outcome is not None}
    values = tuple(reached_value(outcome, show_shape=len(shapes) > 1) for outcome in found)
    (target,) = targets
    return Column(f"to {100 * (target or 0):g} %{of}", (TARGET, TARGET + of), values)


def _cost_names(lines: Sequence[Line]) -> list[str]:
    """Return the data sets that follow the name of a cost in its headings; "" if there is one."""
    return sorted({of for line in lines for of in line.costs})


def _fact(name: str, line: Line) -> Value:
    """Return the learner, the backbone, the letter of the protocol or the number of seeds."""
    row = line.row
    if name == SEEDS:
        seeds = row.seeds_behind(line.scores.values())
        return Value(seeds, int(seeds.split()[0]))
    text = {
        "learner": row.name + (" (transductive)" if row.transductive else ""),
        "backbone": row.backbone,
        PROTOCOL: line.protocol,
    }[name]
    return Value(text, text)
