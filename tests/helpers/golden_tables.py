"""A small made-up set of cells, and its tables, which `tests/reporting/tables/golden/` keeps.

`PYTHONPATH=tests python tests/helpers/golden_tables.py` writes them again: look at the difference
before you commit it.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.cells import altered, made_cell
from helpers.paths import ROOT

from fewshot.reporting.tables import COLUMNS, View, render
from fewshot.results.files import read_cells, write_cell

FOLDER = ROOT / "tests" / "reporting" / "tables" / "golden"
EVERY_COLUMN = View(columns=COLUMNS, target=0.5)
GOLDEN = {
    "table.txt": ("text", View()),
    "table.md": ("md", View()),
    "table.tex": ("latex", View()),
    "table.csv": ("csv", View(target=0.5)),
    "table.json": ("json", View(target=0.5)),
    "every_column.txt": ("text", EVERY_COLUMN),
    "every_column.md": ("md", EVERY_COLUMN),
    "every_column.tex": ("latex", EVERY_COLUMN),
    "by_dataset.txt": ("text", View(group="dataset")),
    "by_dataset.md": ("md", View(group="dataset")),
    "by_dataset.tex": ("latex", View(group="dataset")),
    "by_protocol.md": ("md", View(group="protocol", columns=("scores",), sort="birds 5w5s")),
}
"""File to format and view."""


def timed(cell, others=None, warmup_s=None, cpu_s=None, peak_mb=None, **host):
    """The cell with what was measured about its times, on a machine that differs in `host`."""
    where = {**cell.run.json["host"], "cores": 2, "driver": None, **host}
    scoring = {"cpu_s": cpu_s, "others": others, "peak_memory_mb": peak_mb}
    changes = {"host": where, "scoring": scoring}
    if cell.run.training:
        measured = {"warmup_s": warmup_s, "cpu_s": cpu_s, "others": others}
        changes |= {f"training.spent.{key}": value for key, value in measured.items()}
        changes |= {"training.host": where, "training.peak_memory_mb": peak_mb}
    return altered(cell, changes)


def curve(*accuracies, seconds=30.0):
    """One validation after another, so many seconds apart."""
    return [
        {
            "step": step,
            "seconds": seconds * step,
            "images": 1000 * step,
            "loss": 1.0,
            "lr": 0.1,
            "val_accuracy": accuracy,
        }
        for step, accuracy in enumerate(accuracies, 1)
    ]


def right(lift, n=16):
    """Accuracies of 75 queries in each of `n` episodes."""
    return [(30 + lift + 7 * i % 11 + (i + lift) % 3) / 75 for i in range(n)]


def write_golden_cells(folder):
    """Of two data sets, three machines, with seeds, holes, disturbed times and awkward names."""
    reached, missed = curve(0.3, 0.5, 0.6), curve(0.3, 0.4, 0.45)
    made = []
    for shot, lift in ((1, 0), (5, 12)):
        digest = str(shot)
        for seed in (0, 1):
            cell = made_cell("protonet", *right(lift + seed), n_shot=shot, seed=seed, digest=digest)
            made.append((timed(cell, 0.01, 2.5, 170.0, 640), reached if seed else missed))
        cell = made_cell("mtl", *right(lift + 4), n_shot=shot, label="50% & a_b|c", digest=digest)
        made.append((timed(cell, 0.12, 3.0, 250.0, 700), reached))
        cell = made_cell("pixels", *right(lift - 9), n_shot=shot, trained=False, digest=digest)
        made.append((timed(cell, 0.0, peak_mb=512), []))
    gpu = {"gpu": "Big GPU", "driver": "550.1"}
    options = {"transductive": True, "batch_norm": "query", "digest": "5", "train_s": 720.0}
    cell = made_cell("maml", *right(11), images=480_000, **options)
    made.append((timed(cell, 0.0, 31.0, 800.0, 2048, **gpu), missed))
    cell = made_cell("protonet", *right(15), backbone="resnet12", digest="5", train_s=3600.0)
    made.append((timed(cell, 0.02, 4.0, 7100.0, 1900, processor="Other"), reached))
    cell = made_cell("protonet", *right(2), dataset="birds", digest="5", fingerprint="birds")
    made.append((timed(cell, 0.01, 2.5, 170.0, 640), reached))
    for number, (cell, points) in enumerate(made):
        write_cell(folder / f"{number:02}", cell.run, points, cell.episodes)


def golden_tables():
    """What each file is to hold."""
    with TemporaryDirectory() as folder:
        write_golden_cells(Path(folder))
        cells = read_cells(Path(folder))
        return {name: render(cells, form, view=view) for name, (form, view) in GOLDEN.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in golden_tables().items():
        (FOLDER / name).write_text(text)
        print(FOLDER / name, file=sys.stderr)
