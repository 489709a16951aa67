"""Protocols: what must be alike for two scores to be compared, and its words."""

from collections.abc import Sequence

from fewshot.results.records import Protocol

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
"""The fields of a protocol that must be the same for two scores to be compared, and their names
for readers."""


OWN_CLASSES = (None, "train")
"""The values of `training_classes` of a learner that is scored on the data set of its training."""


OF_SCORING = ("transductive", "support_copies", "n_query")
"""The fields that count for a learner without a training: any row may be held against the floor."""


def unlike(a: Protocol, b: Protocol) -> list[str]:
    """Return in words where two protocols differ; nothing if the scores may be compared."""
    few, many = sorted((a.images, b.images))
    found = [
        f"{PROTOCOL[key]} {shown(getattr(a, key))} / {shown(getattr(b, key))}"
        for key in (PROTOCOL if few else OF_SCORING)
        if getattr(a, key) != getattr(b, key)
    ]
    if few and many > IMAGES_FACTOR * few:
        found.append(f"images seen {a.images:,} / {b.images:,}")
    return found


def differing_keys(protocols: Sequence[Protocol]) -> list[str]:
    """Return the keys of `PROTOCOL` in which some of these protocols differ."""
    return [key for key in PROTOCOL if len({getattr(p, key) for p in protocols}) > 1]


def protocol_words(protocol: Protocol, keys: Sequence[str]) -> str:
    """Return the fields of these keys in words."""
    return ", ".join(f"{PROTOCOL[key]} {shown(getattr(protocol, key))}" for key in keys)


def shown(value: object) -> str:
    """Return a value of a protocol in words."""
    if value is None:
        return "none"
    return {"True": "yes", "False": "no"}.get(str(value), str(value))
