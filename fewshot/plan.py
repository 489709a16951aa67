"""Before a run: the cells of a benchmark, whether they can be run, and what of them is there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fewshot.backbones import BACKBONES
from fewshot.build import build_backbone
from fewshot.config import Cell, OptionClasses, Training, load_benchmark
from fewshot.data import DATASETS, available, open_source
from fewshot.errors import UserError, unknown_name
from fewshot.learners import LEARNERS
from fewshot.outside import Learners, source_digest
from fewshot.protocols import EpisodeSource
from fewshot.results import TRAINING_FILES, TRAININGS, is_complete, read_cell, read_training
from fewshot.sampling import EpisodeShape, Split

SHOWN_CLASSES = 10  # of those that a warning names


def shipped_benchmarks() -> dict[str, str]:
    """The benchmark files that come with the suite: name -> TOML text."""
    installed = resources.files("fewshot") / "benchmarks"
    folder = installed if installed.is_dir() else Path(__file__).parent.parent / "benchmarks"
    files = [f for f in folder.iterdir() if f.name.endswith(".toml")]
    return {f.name.removesuffix(".toml"): f.read_text() for f in sorted(files, key=_name)}


def _name(file: Any) -> str:
    return str(file.name)


def load_cells(
    benchmark: str,
    settings: Sequence[str] = (),
    learner: str | None = None,
    learners: Learners = LEARNERS,
) -> list[Cell]:
    """The cells of a shipped benchmark or of a TOML file, those of one learner if one is named.

    learners: every one that the file may name, by name.
    Raises UserError for names that nobody knows, and whatever `load_benchmark` finds.
    """
    if learner is not None and learner not in learners:
        raise unknown_name("learner", learner, learners)
    shipped = shipped_benchmarks()
    if benchmark in shipped:
        name, text = benchmark, shipped[benchmark]
    elif benchmark.endswith(".toml"):
        try:
            name, text = Path(benchmark).stem, Path(benchmark).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{benchmark}: cannot be read: {error}") from None
    else:
        raise unknown_name("benchmark", benchmark, shipped)
    options = OptionClasses(
        learners={name: cls.Config for name, cls in learners.items()},
        backbones={name: cls.Config for name, cls in BACKBONES.items()},
    )
    return load_benchmark(name, text, options, settings, learner)


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


def check_cells(cells: Sequence[Cell], data_dir: Path, learners: Learners = LEARNERS) -> list[str]:
    """Find a user's mistakes before any time is spent: data sets, class sizes, budgets.

    Returns warnings: test classes that were trained on. Raises UserError for the first mistake.
    Of the test split it reads which classes there are, and how many images of each.
    """
    warnings: dict[str, None] = {}
    for cell in cells:
        recipe, scoring = cell.training.recipe, cell.scoring
        _check_ways(cell)
        trains_on = learners[cell.training.learner].trains_on
        dataset = cell.training.dataset
        needs: list[tuple[str, Split, EpisodeShape]] = [(cell.scored_on, "test", scoring.shape)]
        if trains_on != "nothing":
            if not (recipe.steps or recipe.images or recipe.seconds):
                raise UserError(f"{cell.id}: the recipe has no budget: steps, images or seconds")
            needs.append((dataset, "val", recipe.val_scoring.shape))
        if trains_on == "episodes":
            needs.append((dataset, "train", recipe.train_shape))
        for name, split, shape in needs:
            _check_shape(open_source(name, split, data_dir), shape)
        if trains_on != "nothing":
            source = open_source(dataset, "train", data_dir)
            test = open_source(cell.scored_on, "test", data_dir)
            _check_image_sizes(cell, learners, source.image_size, test.image_size)
            if seen := classes_trained_on(source, test):
                warnings[_overlap_warning(source, test, seen)] = None
    return list(warnings)


def classes_trained_on(train: EpisodeSource, test: EpisodeSource) -> list[str]:
    """The test classes that are, by name, among the training classes.

    miniImageNet and tieredImageNet name classes by WordNet id, CIFAR-FS and FC100 by the names of
    CIFAR-100; classes alike in meaning alone, as of the one pair and the other, are not found.
    """
    return sorted({*train.class_names} & {*test.class_names})


def _overlap_warning(train: EpisodeSource, test: EpisodeSource, seen: Sequence[str]) -> str:
    more = f" and {len(seen) - SHOWN_CLASSES} more" if len(seen) > SHOWN_CLASSES else ""
    return (
        f"warning: {train.dataset} to {test.dataset}: {len(seen)} of the {len(test.class_names)} "
        f"test classes were trained on: {', '.join(seen[:SHOWN_CLASSES])}{more}"
    )


def _check_ways(cell: Cell) -> None:
    """A head of fixed size meets episodes of its own number of ways alone."""
    recipe, rows = cell.training.recipe, getattr(cell.training.learner_options, "n_way", None)
    for name, n_way in (
        ("recipe.n_way", recipe.n_way),
        ("recipe.val_n_way", recipe.val_n_way),
        ("scoring.n_way", cell.scoring.n_way),
    ):
        if rows is not None and n_way != rows:
            raise UserError(f"{cell.id}: {name} = {n_way}, but learner_options.n_way = {rows}")


def _check_shape(source: EpisodeSource, shape: EpisodeShape) -> None:
    where = f"{source.dataset}, {source.split} split"
    if len(source.class_names) < shape.n_way:
        raise UserError(f"{where}: {len(source.class_names)} classes for {shape.n_way} ways")
    smallest = int(source.class_sizes.argmin())
    size, needed = int(source.class_sizes[smallest]), shape.n_shot + shape.n_query
    if size < needed:
        raise UserError(
            f"{where}: class '{source.class_names[smallest]}' has {size} images, an episode of "
            f"{shape.n_shot} shots and {shape.n_query} queries needs {needed}"
        )


def _check_image_sizes(cell: Cell, learners: Learners, trained_px: int, scored_px: int) -> None:
    """The backbone must take the images, and give as many features of each size that it meets."""
    training, cls = cell.training, learners[cell.training.learner]

    def features(px: int) -> int:
        with torch.device("meta"):  # no weights are drawn: only the number of features is asked for
            return build_backbone(training, cls, px).out_dim

    trained = features(trained_px)
    if trained != (scored := features(scored_px)):
        raise UserError(
            f"{cell.id}: {training.backbone} trained on images of {trained_px} px gives {trained} "
            f"features, and {scored} of the {scored_px} px of {cell.scored_on}: import that at "
            f"{trained_px} px, or choose a backbone that pools over the whole image"
        )
    for _, edge in training.recipe.image_sizes:
        if trained != (smaller := features(edge)):
            raise UserError(
                f"{cell.id}: recipe.image_sizes: {training.backbone} gives {smaller} features of "
                f"images of {edge} px, and {trained} of {trained_px} px: choose a backbone that "
                "pools over the whole image"
            )


# What is there -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where images are and results go, and the learners by name.

    memory_gb: how much of the images may be held in memory, as in `EpisodeSource`.
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
        return open_source(dataset, split, self.data_dir, self.memory_gb)

    def made_from(self, training: Training) -> dict[str, str | None]:
        """What a training depends on beside its configuration: the images, an outside learner."""
        return {
            "fingerprint": self.open(training.dataset, "train").fingerprint,
            "learner_digest": source_digest(self.learners[training.learner]),
        }


def is_current(cell: Cell, place: Place) -> bool:
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


def is_trained(training: Training, place: Place) -> bool:
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


def part_cells(cells: Sequence[Cell], place: Place) -> Parts:
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
