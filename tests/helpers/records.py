"""Writes the records of known data sets that the package carries, from stores.

    python tests/helpers/records.py variant DATA/cifar-fs 'CIFAR-100, exact pixels' \\
        cifar-fs fc100 > fewshot/data/variants/cifar100.toml
    python tests/helpers/records.py order DATA/cifar-fs > fewshot/data/variants/cifar100.order.bin

The second needs a store that was imported from named files.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fewshot.data.sources.cifar_order import hashes
from fewshot.data.store import Store, open_store
from fewshot.data.variants.description import HASH_DIGITS
from fewshot.data.variants.summaries import chosen, summarise


def variant_record(store: Store, title: str, datasets: Sequence[str]) -> str:
    """Return the TOML text that makes the content of `store` a known variant of `datasets`."""
    lines = [
        f"title = {json.dumps(title)}",
        f"datasets = {json.dumps(list(datasets))}",
        f"image_size = {store.images_IHWC.shape[1]}",
        f"fingerprint = {json.dumps(store.fingerprint)}",
        "[classes]",
    ]
    rows = zip(
        store.class_names, store.class_starts, store.class_sizes, store.class_hashes, strict=True
    )
    for name, start, size, digest in rows:
        summary = summarise(store.images_IHWC[start + chosen(size)])
        fields = {"size": int(size), "hash": digest[:HASH_DIGITS], **summary}
        values = ", ".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
        lines.append(f"{json.dumps(name)} = {{ {values} }}")
    return "\n".join(lines) + "\n"


def order_record(images_IHWC: np.ndarray) -> bytes:
    """Return the bytes of the record, from all images in the canonical order."""
    return hashes(images_IHWC).astype("<u4").tobytes()


def main(kind: str, folder: str, *about: str) -> None:
    store = open_store(Path(folder))
    if kind == "variant":
        print(variant_record(store, about[0], about[1:]), end="")
    else:
        sys.stdout.buffer.write(order_record(store.images_IHWC))


if __name__ == "__main__":
    main(*sys.argv[1:])
