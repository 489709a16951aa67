"""What must be alike for two scores to be compared, and its words."""

from collections.abc import Mapping, Sequence
from typing import Any

IMAGES_FACTOR = 4
"""Trainings that saw more than so many times the images of another are not alike (ADR 9)."""


PROTOCOL = {
    "transductive": "transductive",
    "batch_norm": "batch norm",
    "views": "views of an image",
    "support_copies": "support copies",
    "n_query": "queries a class",
    "training_classes": "trained on",
    "selection": "selection",
    "pretraining": "pre-training",
    "precision": "precision",
}
"""What of a protocol must be the same for two scores to be compared, and its name for readers."""


OWN_CLASSES = (None, "train")
"""What `training_classes` is unless a learner is scored on another data set than its own."""


OF_SCORING = ("transductive", "support_copies", "n_query")
"""What is left of that for a learner without a training: the floor may be held against any row."""


def unlike(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """In what two protocols differ, in words; nothing if the scores may be compared."""
    few, many = sorted((a["images"], b["images"]))
    found = [
        f"{PROTOCOL[key]} {shown(a[key])} / {shown(b[key])}"
        for key in (PROTOCOL if few else OF_SCORING)
        if a[key] != b[key]
    ]
    if few and many > IMAGES_FACTOR * few:
        found.append(f"images seen {a['images']:,} / {b['images']:,}")
    return found


def protocol_words(protocol: Mapping[str, Any], keys: Sequence[str]) -> str:
    """These keys of a protocol, in words."""
    return ", ".join(f"{PROTOCOL[key]} {shown(protocol[key])}" for key in keys)


def shown(value: object) -> str:
    """A value of a protocol in words."""
    if value is None:
        return "none"
    return {"True": "yes", "False": "no"}.get(str(value), str(value))
