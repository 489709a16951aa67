"""The data sets by name: the suite's own, those of installed packages, and one in a user's file."""

import re
from collections.abc import Mapping
from typing import Any

from fewshot.data.sources.source import DataSource
from fewshot.errors import UserError
from fewshot.options import Registry, is_in_file

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
DATASETS = {
    "glyphs": "fewshot.data.sources.glyphs:GLYPHS",
    "cifar-fs": "fewshot.data.sources.cifar:CIFAR_FS",
    "fc100": "fewshot.data.sources.cifar:FC100",
    "mini-imagenet": "fewshot.data.sources.mini_imagenet:MINI_IMAGENET",
    "tiered-imagenet": "fewshot.data.sources.tiered_imagenet:TIERED_IMAGENET",
}
DataSets = Mapping[str, DataSource]


def known_datasets() -> dict[str, DataSource]:
    """Return the data sets of the suite and of installed packages, by name.

    Raises UserError when a package takes a name that is taken, or offers what is no data set.
    """
    found = DATASET_REGISTRY.load()
    for name, source in found.items():
        if name != source.name:
            raise UserError(f"entry point '{name}': its data set is called '{source.name}'")
    return found


def list_datasets() -> dict[str, str]:
    """Return each known data set's name with a line on it."""
    return {name: source.description for name, source in known_datasets().items()}


def with_dataset(spec: str) -> tuple[str, dict[str, DataSource]]:
    """Return the name that NAME or FILE.py:NAME stands for, and the known data sets with it.

    A name that is not known is left to who uses it: it may be one's own.
    Raises UserError for a file that does not hold such a data set.
    """
    known = known_datasets()
    return DATASET_REGISTRY.include(spec, known) if is_in_file(spec) else (spec, known)


def _check_source(offered: Any, where: str) -> DataSource:
    """Return a data set from outside; raises UserError unless it is one, with a sound name."""
    if not isinstance(offered, DataSource):
        raise UserError(f"{where}: not a value of fewshot.data.DataSource")
    if not NAME.fullmatch(offered.name):
        raise UserError(f"{where}: a data set's name has letters a-z, digits and '-' alone")
    if not (offered.forms or offered.drawn):
        raise UserError(f"{where}: needs forms in which it can be read, or `drawn`")
    return offered


DATASET_REGISTRY = Registry(
    "data set", "fewshot.datasets", DATASETS, _check_source, lambda source: source.name
)
