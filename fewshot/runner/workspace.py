"""Before a run: the cells of a benchmark, whether they can be run, and what of them is there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fewshot.data import DATASETS, available, open_source
from fewshot.episodes.sampling import Split
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError, unknown_name
from fewshot.learners import LEARNERS
from fewshot.learners.registry import Learners, source_digest
from fewshot.results.files import TRAINING_FILES, TRAININGS, is_complete, read_cell, read_training
from fewshot.runner.cells import Cell, Training

# Data that are not there ---------------------------------------------------------------------


def missing_data(cell: Cell, data_dir: Path) -> list[str]:
    """The data sets that a cell needs and that are not there. Drawn ones are never missing.

    Raises UserError for one that nobody knows.
    """
    present = available(data_dir)
    missing = []
    for name in dict.fromkeys((cell.training.dataset, cell.scored_on)):
        if name in present:
            continue
        if name not in DATASETS:
            raise unknown_name("data set", name, {*DATASETS, *present})
        if not DATASETS[name].drawn:
            missing.append(name)
    return missing


def how_to_get(name: str) -> str:
    """A data set that is not there, with the command that brings it."""
    return f"{name} (`fewshot data fetch {name}`)"


# Mistakes and warnings -----------------------------------------------------------------------


# What is there -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workspace:
    """Where images are and results go, and the learners by name.

    memory_gb: how much of the images may be held in memory, as in `Images`.
    """

    results: Path
    data_dir: Path
    learners: Learners = field(default_factory=lambda: LEARNERS)
    memory_gb: float | None = None

    def cell_folder(self, cell: Cell) -> Path:
        """The folder of a cell."""
        return self.results / cell.benchmark / cell.id

    def training_folder(self, training: Training) -> Path:
        """The folder of a training."""
        return self.results / TRAININGS / training.id

    def journal(self, training: Training) -> Path:
        """Where an unfinished training notes how far it is."""
        return self.results / TRAININGS / f".{training.id}.journal"

    def open(self, dataset: str, split: Split) -> EpisodeSource:
        """One split of a data set."""
        return open_source(dataset, split, self.data_dir)

    def made_from(self, training: Training) -> dict[str, str | None]:
        """What a training depends on beside its configuration: the images, an outside learner."""
        return {
            "fingerprint": self.open(training.dataset, "train").fingerprint,
            "learner_digest": source_digest(self.learners[training.learner]),
        }


def is_current(cell: Cell, place: Workspace) -> bool:
    """Whether a cell is done, on the images and by the learner that there are now."""
    folder = place.cell_folder(cell)
    if not is_complete(folder):
        return False
    try:
        run = read_cell(folder).run
    except UserError:  # a damaged file: running it again is the cure
        return False
    trained_on = run.get("trained_on", run["dataset"])  # early cells have one data set
    recorded = {**trained_on, "learner_digest": run.get("learner_digest")}
    if not _agree(recorded, place.made_from(cell.training)):
        return False
    # The fingerprint is of all splits together: there is no need to open the test split for it.
    return bool(run["dataset"]["fingerprint"] == place.open(cell.scored_on, "train").fingerprint)


def is_trained(training: Training, place: Workspace) -> bool:
    """Whether a training is done, on the images and by the learner that there are now."""
    folder = place.training_folder(training)
    if not is_complete(folder, TRAINING_FILES):
        return False
    try:
        recorded = read_training(folder)
    except ValueError:
        return False
    return _agree(recorded, place.made_from(training))


def _agree(recorded: dict[str, Any], made_from: dict[str, str | None]) -> bool:
    return all(recorded.get(key) == value for key, value in made_from.items())


class Parts(NamedTuple):
    """Cells whose data are there, those that are done without, and those with neither."""

    runnable: list[Cell]
    done: list[Cell]
    holes: list[Cell]

    def missing(self, data_dir: Path) -> list[str]:
        """The data sets that the holes wait for, each with the command that brings it."""
        names = [name for cell in self.holes for name in missing_data(cell, data_dir)]
        return [how_to_get(name) for name in dict.fromkeys(names)]


def part_cells(cells: Sequence[Cell], place: Workspace) -> Parts:
    """What of a benchmark can be run with the data that are there.

    Raises UserError where that is nothing.
    """
    parts = Parts([], [], [])
    for cell in cells:
        if not missing_data(cell, place.data_dir):
            parts.runnable.append(cell)
        elif is_complete(place.cell_folder(cell)):
            parts.done.append(cell)
        else:
            parts.holes.append(cell)
    if len(parts.holes) == len(cells):
        missing = Parts([], [], list(cells)).missing(place.data_dir)
        raise UserError(f"no data set for these cells in {place.data_dir}: {', '.join(missing)}")
    return parts
