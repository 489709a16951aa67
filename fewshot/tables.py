"""Result files to a table; needs neither torch nor images.

Rows are learner x backbone, columns data set x episode shape; a missing cell is a hole.
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

from fewshot.errors import UserError
from fewshot.metrics import mean_ci95
from fewshot.results import CellResult

Format = Literal["text", "md", "latex", "csv", "json"]
HOLE = "–"
UNBOUNDED = 500  # characters: wider than any table, so that nothing is wrapped
NOTE = (
    "Accuracy in %, ± half-width of the 95 % interval over test episodes (not over training seeds)."
)


@dataclass(frozen=True)
class Row:
    """One line: who, and by column name the accuracy, its interval and its number of episodes."""

    learner: str
    backbone: str
    label: str
    seeds: int
    scores: dict[str, tuple[float, float, int]]
    train_s: float | None
    images: int | None
    adapt_ms: float
    transductive: bool

    @property
    def name(self) -> str:
        """The learner, with what tells this row from others of its kind."""
        return f"{self.learner} ({self.label})" if self.label else self.learner


def table_rows(cells: Sequence[CellResult]) -> list[Row]:
    """Cells grouped into rows, best last column first.

    Cells of several training seeds make one row: an episode's accuracy is its mean over the
    seeds, so the interval stays one over episodes.
    Raises UserError when cells that share a column come from different images or episodes.
    """
    _refuse_unlike(cells)
    groups: dict[tuple[str, str, str, str], list[CellResult]] = {}
    for cell in cells:
        groups.setdefault(_row_key(cell, cells), []).append(cell)
    rows = [_row(key, group) for key, group in groups.items()]
    columns = column_names(rows)

    def best_first(row: Row) -> tuple[float, ...]:
        return tuple(-row.scores.get(c, (-1.0, 0.0, 0))[0] for c in reversed(columns))

    return sorted(rows, key=lambda row: (best_first(row), row.name))


def column_names(rows: Sequence[Row]) -> list[str]:
    """Every column that some row has, data sets together, fewer shots first."""
    names = {name for row in rows for name in row.scores}
    return sorted(names, key=lambda name: (name.split()[0], *_shape_of(name)))


def render(cells: Sequence[CellResult], form: Format, width: int | None = None) -> str:
    """The table of these cells in one of the formats, with a final newline."""
    rows = table_rows(cells)
    header, lines = _text_cells(rows)
    if form == "md":
        escaped = [[cell.replace("|", r"\|") for cell in line] for line in (header, *lines)]
        escaped.insert(1, ["---"] * len(header))
        table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
        return f"{table}\n\n{_footer(cells)}\n"
    if form == "latex":
        return _latex(header, lines)
    if form == "csv":
        return _csv(rows)
    if form == "json":
        return json.dumps(_records(rows), indent=2) + "\n"
    return _text(header, lines, _footer(cells), width)


def _row_key(cell: CellResult, cells: Sequence[CellResult]) -> tuple[str, str, str, str]:
    """Learner, backbone and label; and a hash of the setup where these alone are not one row."""
    rivals = {
        _setup(other)
        for other in cells
        if _base_key(other) == _base_key(cell) and _dataset(other) == _dataset(cell)
    }
    distinct = "" if len(rivals) == 1 else sha256(_setup(cell).encode()).hexdigest()[:8]
    return (*_base_key(cell), distinct)


def _base_key(cell: CellResult) -> tuple[str, str, str]:
    config = cell.run["config"]
    training = config["training"]
    return (training["learner"], training["backbone"], config["label"])


def _dataset(cell: CellResult) -> str:
    return str(cell.run["config"]["training"]["dataset"])


def _setup(cell: CellResult) -> str:
    """The whole configuration as text, but for what the cells of one row differ in."""
    config = cell.run["config"]
    training = {k: v for k, v in config["training"].items() if k != "seed"}
    scoring = {k: v for k, v in config["scoring"].items() if k not in ("n_way", "n_shot")}
    return json.dumps([training, scoring], sort_keys=True)


def _column(cell: CellResult) -> str:
    config = cell.run["config"]
    scoring = config["scoring"]
    return f"{config['training']['dataset']} {scoring['n_way']}w{scoring['n_shot']}s"


def _shape_of(column: str) -> tuple[int, int]:
    way, shot = column.split()[1].removesuffix("s").split("w")
    return int(way), int(shot)


def _row(key: tuple[str, str, str, str], cells: Sequence[CellResult]) -> Row:
    learner, backbone, label, distinct = key
    columns: dict[str, list[CellResult]] = {}
    for cell in cells:
        columns.setdefault(_column(cell), []).append(cell)
    scores = {}
    for name, group in columns.items():
        per_seed = np.stack([cell.episodes["accuracy"].to_numpy() for cell in group])
        scores[name] = (*mean_ci95(per_seed.mean(0)), per_seed.shape[1])
    trainings = {c.run["training"]["id"]: c.run["training"] for c in cells if c.run["training"]}
    spent = [t["spent"] for t in trainings.values()]
    return Row(
        learner=learner,
        backbone=backbone if trainings else HOLE,
        label=label or distinct,
        seeds=len({c.run["config"]["training"]["seed"] for c in cells}),
        scores=scores,
        train_s=float(np.mean([s["train_s"] for s in spent])) if spent else None,
        images=round(float(np.mean([s["images"] for s in spent]))) if spent else None,
        adapt_ms=float(np.mean([_adapt_predict_ms(cell) for cell in cells])),
        transductive=any(c.run["protocol"]["transductive"] for c in cells),
    )


def _adapt_predict_ms(cell: CellResult) -> float:
    return float((cell.episodes["adapt_ms"] + cell.episodes["predict_ms"]).mean())


def _refuse_unlike(cells: Sequence[CellResult]) -> None:
    seen: dict[str, tuple[str, str, CellResult]] = {}
    for cell in cells:
        column = _column(cell)
        data, episodes = cell.run["dataset"]["fingerprint"], cell.run["episodes_digest"]
        first = seen.setdefault(column, (data, episodes, cell))
        for kind, ours, theirs in (
            ("images", data, first[0]),
            ("episodes", episodes, first[1]),
        ):
            if ours != theirs:
                raise UserError(
                    f"{column}: {cell.run['cell']} and {first[2].run['cell']} were scored on "
                    f"different {kind}; they cannot stand in one table"
                )


def _footer(cells: Sequence[CellResult]) -> str:
    """What the numbers are, and on what machine and at which commit they were measured."""
    scoring = sorted(
        {
            f"{s['episodes']:,} episodes of {s['n_query']} queries a class"
            for s in (cell.run["config"]["scoring"] for cell in cells)
        }
    )
    hosts = sorted({_host(cell.run) for cell in cells})
    commits = sorted({_commit(cell.run["git"]) for cell in cells})
    return f"{NOTE} {'; '.join(scoring)}. On {'; '.join(hosts)}; commit {', '.join(commits)}."


def _host(run: dict[str, Any]) -> str:
    host = run["host"]
    torch = f"torch {host['versions']['torch']}"
    return f"{host['gpu'] or host['processor']}, {host['threads']} threads, {torch}"


def _commit(git: dict[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return git["commit"][:7] + (" with changes" if git["changed"] else "")


def _text_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    columns = column_names(rows)
    header = [
        "learner",
        "backbone",
        *columns,
        "training",
        "images seen",
        "ms/episode",
        "seeds",
    ]
    return header, [
        [
            row.name + (" (transductive)" if row.transductive else ""),
            row.backbone,
            *(_percent(row.scores.get(column)) for column in columns),
            _duration(row.train_s),
            HOLE if row.images is None else f"{row.images:,}",
            f"{row.adapt_ms:.2f}",
            str(row.seeds),
        ]
        for row in rows
    ]


def _percent(score: tuple[float, float, int] | None) -> str:
    if score is None:
        return HOLE
    mean, ci95, _ = score
    return f"{100 * mean:.2f} ± {HOLE if math.isnan(ci95) else f'{100 * ci95:.2f}'}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return HOLE
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _text(header: list[str], lines: list[list[str]], footer: str, width: int | None) -> str:
    table = RichTable(*header, caption=footer, caption_justify="left")
    for line in lines:
        table.add_row(*line)
    out = io.StringIO()
    # Plain text whatever the environment says, with labels as they were written.
    console = Console(
        file=out,
        width=width or UNBOUNDED,
        color_system=None,
        force_terminal=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _latex(header: list[str], lines: list[list[str]]) -> str:
    def row(cells: Sequence[str]) -> str:
        return " & ".join(_latex_escape(cell) for cell in cells) + r" \\"

    return "\n".join(
        [
            rf"\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}",
            r"\toprule",
            row(header),
            r"\midrule",
            *(row(line) for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _latex_escape(text: str) -> str:
    special = {
        "±": r"$\pm$",
        "–": "--",
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
    }
    special |= {c: "\\" + c for c in "&%$#_{}"} | {"^": r"\textasciicircum{}"}
    return "".join(special.get(c, c) for c in text)


def _records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One record for each score; accuracies are fractions."""
    return [
        {
            "learner": row.learner,
            "backbone": row.backbone,
            "label": row.label,
            "dataset": column.split()[0],
            "n_way": _shape_of(column)[0],
            "n_shot": _shape_of(column)[1],
            "accuracy": accuracy,
            "episodes_ci95": None if math.isnan(ci95) else ci95,
            "episodes": episodes,
            "seeds": row.seeds,
            "train_s": row.train_s,
            "images": row.images,
            "adapt_predict_ms": row.adapt_ms,
            "transductive": row.transductive,
        }
        for row in rows
        for column, (accuracy, ci95, episodes) in row.scores.items()
    ]


def _csv(rows: Sequence[Row]) -> str:
    records = _records(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()
