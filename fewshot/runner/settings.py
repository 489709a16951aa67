"""Layers of settings: a benchmark's defaults, a training's own keys, and `--set` over both."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fewshot.errors import UserError
from fewshot.runner.cells import Origins

Layer = tuple[Mapping[str, Any], str]
"""Nested tables of keys, and the words for where they come from."""


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Return nested tables of `recipe.lr=0.1` and its like; what is no TOML value is a string.

    Raises UserError for a setting without a key or value, and for a key below a value.
    """
    result: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {setting}: expected key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table = result
        *path, last = key.strip().split(".")
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise UserError(f"--set {setting}: {part} is a value, not a table")
        table[last] = value
    return result


def merge(*layers: Layer) -> tuple[dict[str, Any], dict[str, str]]:
    """Return later layers over earlier ones, table by table, and which gave each dotted key."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def lay(target: dict[str, Any], layer: Mapping[str, Any], origin: str, prefix: str) -> None:
        for key, value in layer.items():
            if isinstance(value, Mapping):
                below = target.setdefault(key, {})
                if not isinstance(below, dict):
                    raise UserError(f"{origin}: {prefix}{key} is a value, not a table")
                lay(below, value, origin, f"{prefix}{key}.")
            else:
                target[key] = value
                origins[prefix + key] = origin

    for layer, origin in layers:
        lay(merged, layer, origin, "")
    return merged, origins


def renamed(value: Any, name_of: Callable[[str, str], str], key: str = "") -> Any:
    """Return nested tables with each text replaced by `name_of` its key and itself."""
    if isinstance(value, Mapping):
        return {name: renamed(each, name_of, name) for name, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, name_of, key) for each in value]
    return name_of(key, value) if isinstance(value, str) else value


def origins_of(resolved: Mapping[str, Any], given: Origins) -> dict[str, str]:
    """Return for each dotted key of a resolved cell where its value came from."""
    flat = {**resolved["training"], "scoring": resolved["scoring"]}
    flat["seeds"] = flat.pop("seed")
    return {key: given.get(key, "default") for key in _dotted(flat)}


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key
