"""Options: fields of frozen dataclasses, and the hash that names cells by them."""

import json
from dataclasses import field, fields, is_dataclass
from hashlib import sha256
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval

Count = Annotated[int, Gt(0)]


Positive = Annotated[float, Gt(0)]


NonNegative = Annotated[float, Ge(0)]


Share = Annotated[float, Interval(gt=0, lt=1)]


ImageEdge = Annotated[int, Ge(8)]


def option(default: Any, *, test_only: bool = False, added_later: bool = False) -> Any:
    """A field of a learner's `Config` with a meaning for names.

    test_only: it matters at test alone, so cells that differ in it share their training.
    added_later: it did not exist from the start, and its default is how things were before; at
    its default it stays out of the hash, so that cells measured before keep their names.
    """
    return field(default=default, metadata={"test_only": test_only, "added_later": added_later})


def short_hash(value: Any) -> str:
    """Return the 8 hexadecimal digits that name a configuration."""
    return sha256(json.dumps(identity(value), sort_keys=True).encode()).hexdigest()[:8]


def identity(value: Any) -> Any:
    """What of a configuration makes its name: all of it, but for later options at their default."""
    if isinstance(value, tuple | list):
        return [identity(item) for item in value]
    if not is_dataclass(value):
        return value
    return {
        f.name: identity(getattr(value, f.name))
        for f in fields(value)
        if not (f.metadata.get("added_later") and getattr(value, f.name) == f.default)
    }
