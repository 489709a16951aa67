"""Cells with validation curves, written to a folder and read back as `fewshot plot` reads them."""

from helpers.cells import made_cell

from fewshot.results.files import read_cells, write_cell


def curve(*accuracies, seconds=10.0, images=1000):
    """A validation after so many seconds and images each."""
    return [
        {
            "step": i,
            "seconds": seconds * i,
            "images": images * i,
            "loss": 1.0,
            "lr": 0.1,
            "val_accuracy": accuracy,
        }
        for i, accuracy in enumerate(accuracies, start=1)
    ]


def on_disk(folder, *cells_and_curves):
    """Each cell with its curve, in the order of paths."""
    for cell, rows in cells_and_curves:
        write_cell(folder / cell.run.cell, cell.run, rows, cell.episodes, cell.disjoint)
    return read_cells(folder)


def trained(name, *accuracies, seconds=10.0, test=(0.5, 0.75, 0.25, 0.5), **options):
    """A cell of a learner, and its validations; its budget ends with the last of them."""
    rows = curve(*accuracies, seconds=seconds)
    options.setdefault("train_s", rows[-1]["seconds"] if rows else 90.0)
    return made_cell(name, *test, **options), rows
