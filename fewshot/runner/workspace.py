"""The folders of a run, the classes that its benchmark may name, and what is there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fewshot.backbones.registry import BACKBONE_REGISTRY
from fewshot.data import DataSets, available, data_dir, open_source
from fewshot.data.catalogue import DATASET_REGISTRY, known_datasets
from fewshot.episodes.sampling import Split
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError, unknown_name
from fewshot.learners.registry import LEARNER_REGISTRY
from fewshot.options import Registry, source_digest
from fewshot.protocols import Backbone, Learner
from fewshot.results.files import TRAINING_FILES, TRAININGS, is_complete, read_cell, read_training
from fewshot.runner.build import Classes
from fewshot.runner.cells import Cell, Training

REGISTRIES: Mapping[str, Registry[Any]] = {
    "learner": LEARNER_REGISTRY,
    "backbone": BACKBONE_REGISTRY,
    "dataset": DATASET_REGISTRY,
}
MADE_FROM = ("fingerprint", "learner_digest", "backbone_digest")


@dataclass(frozen=True)
class Workspace:
    """The folders of images and results, and every learner, backbone and data set by name.

    memory_gb: how much of the images may be held in memory, as in `Images`.
    """

    results: Path
    data_dir: Path
    learners: Mapping[str, type[Learner]]
    backbones: Mapping[str, type[Backbone]]
    datasets: DataSets
    memory_gb: float | None = None

    def include(self, kind: str, spec: str) -> tuple[str, "Workspace"]:
        """Return the name that NAME or FILE.py:CLASS stands for, and the workspace with it.

        kind: a key of `REGISTRIES`. Raises UserError as `Registry.include` does.
        """
        name, known = REGISTRIES[kind].include(spec, getattr(self, f"{kind}s"))
        changed: dict[str, Any] = {f"{kind}s": known}
        return name, replace(self, **changed)

    def cell_folder(self, cell: Cell) -> Path:
        """Return the folder of a cell."""
        return self.results / cell.benchmark / cell.id

    def training_folder(self, training: Training) -> Path:
        """Return the folder of a training."""
        return self.results / TRAININGS / training.id

    def journal(self, training: Training) -> Path:
        """Return the file in which an unfinished training notes how far it is."""
        return self.results / TRAININGS / f".{training.id}.journal"

    def classes(self, training: Training) -> Classes:
        """Return the classes that a training names."""
        return Classes(self.learners[training.learner], self.backbones[training.backbone])

    @property
    def configs(self) -> dict[Literal["learner", "backbone"], dict[str, type]]:
        """The `Config` classes of the learners and of the backbones, by name."""
        return {
            "learner": {name: cls.Config for name, cls in self.learners.items()},
            "backbone": {name: cls.Config for name, cls in self.backbones.items()},
        }

    def open(self, dataset: str, split: Split) -> EpisodeSource:
        """Return one split of a data set."""
        return open_source(dataset, split, self.data_dir, self.datasets)

    def missing_data(self, cell: Cell) -> list[str]:
        """Return the data sets that a cell needs and that are not there; drawn ones always are.

        Raises UserError for one that nobody knows.
        """
        present, missing = available(self.data_dir), []
        for name in dict.fromkeys((cell.training.dataset, cell.scored_on)):
            if name in present:
                continue
            if name not in self.datasets:
                raise unknown_name("data set", name, {*self.datasets, *present})
            if not self.datasets[name].drawn:
                missing.append(name)
        return missing

    def digests(self, training: Training) -> dict[str, str | None]:
        """Return the hashes of the files that hold a training's learner and backbone.

        A learner of the suite has None; a backbone of the suite is left out, as in the records
        that were written when there were no others.
        """
        learner, backbone = (source_digest(cls) for cls in self.classes(training))
        own = {} if backbone is None else {"backbone_digest": backbone}
        return {"learner_digest": learner, **own}

    def made_from(self, training: Training) -> dict[str, str | None]:
        """Return what a training depends on beside its configuration: images, outside classes."""
        fingerprint = self.open(training.dataset, "train").fingerprint
        return {"fingerprint": fingerprint, **self.digests(training)}


def open_workspace(
    results: Path | str, data: Path | str | None = None, memory_gb: float | None = None
) -> Workspace:
    """Return the workspace of two folders, with all that the suite and installed packages offer."""
    return Workspace(
        Path(results),
        data_dir(Path(data) if data else None),
        LEARNER_REGISTRY.load(),
        BACKBONE_REGISTRY.load(),
        known_datasets(),
        memory_gb,
    )


def how_to_get(name: str) -> str:
    """Return the name of a data set that is not there, with the command that brings it."""
    return f"{name} (`fewshot data fetch {name}`)"


def is_current(cell: Cell, workspace: Workspace) -> bool:
    """Say whether a cell is done, on the images and by the classes that there are now."""
    folder = workspace.cell_folder(cell)
    if not is_complete(folder):
        return False
    try:
        run = read_cell(folder).run
    except UserError:  # a damaged file: running it again is the cure
        return False
    recorded = {**vars(run), "fingerprint": run.trained_on.fingerprint}
    if not _agree(recorded, workspace.made_from(cell.training)):
        return False
    # The fingerprint is of all splits together: there is no need to open the test split for it.
    return run.dataset.fingerprint == workspace.open(cell.scored_on, "train").fingerprint


def is_trained(training: Training, workspace: Workspace) -> bool:
    """Say whether a training is done, on the images and by the classes that there are now."""
    folder = workspace.training_folder(training)
    if not is_complete(folder, TRAINING_FILES):
        return False
    try:
        recorded = read_training(folder)
    except UserError:  # a damaged file: training again is the cure
        return False
    return _agree(vars(recorded), workspace.made_from(training))


def _agree(recorded: Mapping[str, Any], made_from: Mapping[str, str | None]) -> bool:
    return all(recorded.get(key) == made_from.get(key) for key in MADE_FROM)


class Parts(NamedTuple):
    """Cells whose data are there, those that are done without, and those with neither.

    missing: the data sets that the last wait for, each with the command that brings it.
    """

    runnable: list[Cell]
    done: list[Cell]
    holes: list[Cell]
    missing: list[str]


def part_cells(cells: Sequence[Cell], workspace: Workspace) -> Parts:
    """Part the cells of a benchmark by whether their data are there.

    Raises UserError where none can be run or is done.
    """
    parts, names = Parts([], [], [], []), dict[str, None]()
    for cell in cells:
        missing = workspace.missing_data(cell)
        if not missing:
            parts.runnable.append(cell)
        elif is_complete(workspace.cell_folder(cell)):
            parts.done.append(cell)
        else:
            parts.holes.append(cell)
            names |= dict.fromkeys(missing)
    parts.missing.extend(how_to_get(name) for name in names)
    if len(parts.holes) == len(cells):
        needed = ", ".join(parts.missing)
        raise UserError(f"no data set for these cells in {workspace.data_dir}: {needed}")
    return parts
