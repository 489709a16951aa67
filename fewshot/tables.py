"""Rows to a table of results; needs neither torch nor images. A missing cell is a hole."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any, Literal

from fewshot import grids
from fewshot.compare import SIGNIFICANCE, unbeaten
from fewshot.published import Published, published
from fewshot.results import CellResult
from fewshot.rows import (
    HOLE,
    PROTOCOL,
    Over,
    Row,
    column_names,
    protocol_words,
    shape_of,
    table_rows,
)

Format = Literal["text", "md", "latex", "csv", "json"]
NOTES: dict[Over, str] = {
    "episodes": "over test episodes (not over training seeds)",
    "seeds": "over training seeds",
    "data": "over images: the mean is that of test episodes that share none",
}
MARKS = "abcdefghijklmnopqrstuvwxyz"


def render(
    cells: Sequence[CellResult],
    form: Format,
    width: int | None = None,
    over: Over = "episodes",
    show_published: bool = False,
) -> str:
    """The table of these cells in one of the formats, with a final newline.

    over: what the intervals are over. show_published: a column of what others published beside
    each, and how much more was measured here.
    """
    rows = table_rows(cells)
    best = unbeaten(rows)
    if form == "csv":
        return _csv(_records(rows, best))
    if form == "json":
        return json.dumps(_records(rows, best), indent=2) + "\n"
    numbers = _published(rows) if show_published else {}
    marks = _protocol_marks(rows)
    header, lines = _text_cells(rows, over, marks, numbers)
    bold = {(i, header.index(column)) for (i, column), found in best.items() if found}
    if form == "latex":
        return grids.latex(header, lines, names=2, bold=bold)
    footer = _footer(cells, rows, over, marks, numbers, bool(bold))
    if form == "md":
        return grids.markdown(header, lines, footer, bold)
    return grids.text(header, lines, footer, width, bold)


Numbers = dict[tuple[int, str], Published]
Best = dict[tuple[int, str], bool]


def _published(rows: Sequence[Row]) -> Numbers:
    """By row and column."""
    found = {
        (i, column): _published_of(row, column)
        for i, row in enumerate(rows)
        for column in row.scores
    }
    return {place: number for place, number in found.items() if number is not None}


def _published_of(row: Row, column: str) -> Published | None:
    """What others published, of learners trained on the column's own data set."""
    if row.scores[column].is_cross_domain:
        return None
    return published(row.learner, row.backbone, column)


def _protocol_marks(rows: Sequence[Row]) -> list[str]:
    """For each row a letter for its protocol."""
    protocols = [protocol_words(_protocol(row), list(PROTOCOL)) for row in rows]
    letters = dict(zip(dict.fromkeys(protocols), MARKS, strict=False))
    return [letters.get(words, "?") for words in protocols]


def _protocol(row: Row) -> dict[str, Any]:
    return dict(next(iter(row.scores.values())).protocol)


def _text_cells(
    rows: Sequence[Row], over: Over, marks: Sequence[str], numbers: Numbers
) -> tuple[list[str], list[list[str]]]:
    columns = column_names(rows)
    shown = {column for _, column in numbers}

    def scores(i: int, row: Row) -> list[str]:
        out = []
        for column in columns:
            out.append(_percent(row, column, over))
            if column in shown:
                out += _beside(row, column, numbers.get((i, column)))
        return out

    header = ["learner", "backbone"]
    for column in columns:
        header += [column, "published", "gap"] if column in shown else [column]
    header += ["training", "images seen", "ms/episode", "seeds"]
    lines = [
        [
            row.name + (" (transductive)" if row.transductive else ""),
            row.backbone,
            *scores(i, row),
            _duration(row.train_s),
            HOLE if row.images is None else f"{row.images:,}",
            f"{row.adapt_ms:.2f}",
            str(row.seeds),
        ]
        for i, row in enumerate(rows)
    ]
    if len(set(marks)) > 1:
        header.append("protocol")
        for line, mark in zip(lines, marks, strict=True):
            line.append(mark)
    return header, lines


def _percent(row: Row, column: str, over: Over) -> str:
    if column not in row.scores:
        return HOLE
    mean, ci95 = row.scores[column].interval(over)
    if math.isnan(mean):
        return HOLE
    return f"{100 * mean:.2f} ± {HOLE if math.isnan(ci95) else f'{100 * ci95:.2f}'}"


def _beside(row: Row, column: str, number: Published | None) -> list[str]:
    if number is None:
        return [HOLE, HOLE]
    gap = 100 * (row.scores[column].interval().mean - number.accuracy)
    return [
        f"{100 * number.accuracy:.1f} ± {100 * number.ci95:.1f}",
        f"{gap:+.1f}".replace("-", "−"),
    ]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return HOLE
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _footer(
    cells: Sequence[CellResult],
    rows: Sequence[Row],
    over: Over,
    marks: Sequence[str],
    numbers: Numbers,
    bold: bool,
) -> str:
    """What the numbers are, under which protocols, on what machine and at which commit."""
    sentences = [f"Accuracy in %, ± half-width of the 95 % interval {NOTES[over]}."]
    if bold:
        sentences.append(
            "Bold (or *): not beaten by the best row of the same protocol (paired permutation test "
            f"over the same episodes, {100 * SIGNIFICANCE:g} %, Holm's correction over the table)."
        )
    sentences.append(_protocol_note(rows, marks))
    sentences += _published_notes(rows, numbers)
    scoring = sorted(
        {
            f"{s['episodes']:,} episodes of {s['n_query']} queries a class"
            for s in (cell.run["config"]["scoring"] for cell in cells)
        }
    )
    hosts = sorted({_host(cell.run) for cell in cells})
    commits = sorted({_commit(cell.run["git"]) for cell in cells})
    sentences.append(f"{'; '.join(scoring)}.")
    sentences.append(f"On {'; '.join(hosts)}; commit {', '.join(commits)}.")
    return " ".join(sentences)


def _protocol_note(rows: Sequence[Row], marks: Sequence[str]) -> str:
    """What all rows share, and what each letter stands for beyond it."""
    by_mark = {mark: _protocol(row) for mark, row in zip(marks, rows, strict=True)}
    first = next(iter(by_mark.values()))
    shared = [key for key in PROTOCOL if all(p[key] == first[key] for p in by_mark.values())]
    own = [key for key in PROTOCOL if key not in shared]
    note = f"Protocol: {protocol_words(first, shared)}" if shared else "Protocol:"
    apart = [f"{mark}: {protocol_words(p, own)}" for mark, p in by_mark.items()] if own else []
    return "; ".join([note, *apart]) + "."


def _published_notes(rows: Sequence[Row], numbers: Numbers) -> list[str]:
    if not numbers:
        return []
    sources: dict[str, None] = {}
    for (i, _), n in numbers.items():
        note = f"; {n.note}" if n.note else ""
        sources[f"{rows[i].learner} {rows[i].backbone}: {n.source} ({n.trust}{note})"] = None
    return [
        "Published numbers are others' (own images, backbones, episodes; their ± as they mean it), "
        f"gap is measured less published: {'. '.join(sources)}."
    ]


def _host(run: dict[str, Any]) -> str:
    host = run["host"]
    torch = f"torch {host['versions']['torch']}"
    return f"{host['gpu'] or host['processor']}, {host['threads']} threads, {torch}"


def _commit(git: dict[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return git["commit"][:7] + (" with changes" if git["changed"] else "")


def _records(rows: Sequence[Row], best: Best) -> list[dict[str, Any]]:
    """One record for each score; accuracies are fractions."""
    return [
        {
            "learner": row.learner,
            "backbone": row.backbone,
            "label": row.label,
            "dataset": column.split()[0],
            "n_way": shape_of(column)[0],
            "n_shot": shape_of(column)[1],
            "accuracy": score.interval().mean,
            "episodes_ci95": _or_none(score.interval().ci95),
            "seeds_ci95": _or_none(score.interval("seeds").ci95),
            "data_accuracy": _or_none(score.interval("data").mean),
            "data_ci95": _or_none(score.interval("data").ci95),
            "unbeaten": best.get((i, column)),
            "episodes": len(score.accuracy_E),
            "seeds": row.seeds,
            "train_s": row.train_s,
            "images": row.images,
            "adapt_predict_ms": row.adapt_ms,
            **{key: score.protocol[key] for key in PROTOCOL},
            **_published_record(_published_of(row, column)),
        }
        for i, row in enumerate(rows)
        for column, score in row.scores.items()
    ]


def _published_record(number: Published | None) -> dict[str, Any]:
    keys = ("accuracy", "ci95", "source", "trust", "note")
    return {f"published_{key}": number and getattr(number, key) for key in keys}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _csv(records: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()
