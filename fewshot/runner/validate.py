"""A user's mistakes, found before any time is spent."""

from collections.abc import Sequence

import torch

from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError
from fewshot.runner.build import Classes, build_backbone
from fewshot.runner.cells import Cell
from fewshot.runner.workspace import Workspace

SHOWN_CLASSES = 10  # of those that a warning names


def check_cells(cells: Sequence[Cell], workspace: Workspace) -> list[str]:
    """Find a user's mistakes before any time is spent: data sets, class sizes, budgets.

    Returns warnings: test classes that were trained on. Raises UserError for the first mistake.
    Of the test split it reads which classes there are, and how many images of each.
    """
    warnings: dict[str, None] = {}
    for cell in cells:
        check_training(cell, workspace)
        test = workspace.open(cell.scored_on, "test")
        test.check_shape(cell.scoring.shape)
        classes = workspace.classes(cell.training)
        if classes.learner.trains_on != "nothing":
            source = workspace.open(cell.training.dataset, "train")
            _check_image_sizes(cell, classes, source.image_size, test.image_size)
            if seen := classes_trained_on(source, test):
                warnings[_overlap_warning(source, test, seen)] = None
    return list(warnings)


def check_training(cell: Cell, workspace: Workspace) -> None:
    """Raise UserError for a mistake in a cell's training: its ways, budget, episodes or images."""
    _check_ways(cell)
    recipe, classes = cell.training.recipe, workspace.classes(cell.training)
    if classes.learner.trains_on == "nothing":
        return
    if not (recipe.steps or recipe.images or recipe.seconds):
        raise UserError(f"{cell.id}: the recipe has no budget: steps, images or seconds")
    source = workspace.open(cell.training.dataset, "train")
    if recipe.validates:
        workspace.open(cell.training.dataset, "val").check_shape(recipe.val_scoring.shape)
    if classes.learner.trains_on == "episodes":
        source.check_shape(recipe.train_shape)
    _check_image_sizes(cell, classes, source.image_size, source.image_size)


def classes_trained_on(train: EpisodeSource, test: EpisodeSource) -> list[str]:
    """Return the test classes that are, by name, among the training classes.

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
    """Raise UserError where a head of fixed size meets episodes of another number of ways."""
    recipe, head_ways = cell.training.recipe, getattr(cell.training.learner_options, "n_way", None)
    for name, n_way in (
        ("recipe.n_way", recipe.n_way),
        ("recipe.val_n_way", recipe.val_n_way if recipe.validates else head_ways),
        ("scoring.n_way", cell.scoring.n_way),
    ):
        if head_ways is not None and n_way != head_ways:
            raise UserError(f"{cell.id}: {name} = {n_way}, but learner_options.n_way = {head_ways}")


def _check_image_sizes(cell: Cell, classes: Classes, trained_px: int, scored_px: int) -> None:
    """Raise UserError unless the backbone gives as many features of each size that it meets."""
    training = cell.training

    def features(px: int) -> int:
        with torch.device("meta"):  # no weights are drawn: only the number of features is asked for
            return build_backbone(training, classes, px).out_dim

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
