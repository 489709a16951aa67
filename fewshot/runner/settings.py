"""Layers of settings: a benchmark's defaults, a training's own keys, and `--set` over both."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fewshot.errors import UserError
from fewshot.runner.cells import Origins

Layer = tuple[Mapping[str, Any], str]
"""Nested tables of keys, and the words for where they come from."""
Settings = str | Sequence[str] | Mapping[str, Any] | None
"""`["recipe.lr=0.1"]`, or `{"recipe.lr": 0.1}`."""


def parse_settings(settings: Settings) -> dict[str, Any]:
    """Return nested tables of `recipe.lr=0.1` and its like; what is no TOML value is a string.

    Raises UserError for a setting without a key or value, and for a key below a value.
    """
    if isinstance(settings, Mapping):
        pairs = [(f"{key}={value}", key, value) for key, value in settings.items()]
    else:
        texts = [settings] if isinstance(settings, str) else settings or ()
        pairs = [(text, *_key_and_value(text)) for text in texts]
    result: dict[str, Any] = {}
    for setting, key, value in pairs:
        *path, last = key.strip().split(".")
        table = result
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise UserError(f"--set {setting}: {part} is a value, not a table")
        if isinstance(value, Mapping) and isinstance(table.get(last, {}), dict):
            table[last] = {**table.get(last, {}), **value}
        else:
            table[last] = value.item() if hasattr(value, "item") else value  # numpy's
    return result


def _key_and_value(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {setting}: expected key=value")
    try:
        return key, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key, text


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
    """Return nested tables with each text replaced by `name_of` its key and itself.

    The keys of `targets` are names of data sets too.
    """
    if isinstance(value, Mapping):
        names = [name_of("dataset", name) if key == "targets" else name for name in value]
        parts = [renamed(each, name_of, name) for name, each in value.items()]
        return dict(zip(names, parts, strict=True))
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
