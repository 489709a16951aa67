"""The super-categories of tieredImageNet: no two of its splits have one in common."""

import tomllib
from importlib.resources import files


def tiered_super_categories() -> dict[str, str]:
    """The super-category (a WordNet id, 34 of them) of each of the 608 classes."""
    file = files("fewshot.data") / "splits" / "tiered-imagenet-supers.toml"
    supers: dict[str, list[str]] = tomllib.loads(file.read_text())["supers"]
    return {name: super_name for super_name, names in supers.items() for name in names}
