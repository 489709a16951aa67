"""The scores of a table as records, for csv and json. Accuracies are fractions."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fewshot.reporting.published import Published
from fewshot.reporting.tables import costs
from fewshot.reporting.tables.costs import reached
from fewshot.results.curves import common_target
from fewshot.results.protocol import PROTOCOL
from fewshot.results.rows import Score, TableRow, column_names, dataset_in, shape_of
from fewshot.results.timing import Costs, mean_time

DECIMALS = 9
"""The decimals kept of a number: its last bits may differ between two versions of a library."""
Record = dict[str, Any]


def records(
    rows: Sequence[TableRow],
    best: Mapping[tuple[int, str], bool],
    numbers: Mapping[tuple[int, str], Published],
    target: float | None,
) -> list[Record]:
    """Return a record of each score, in the order of the rows, with its own trainings' times."""
    found = []
    for i, row in enumerate(rows):
        for column in column_names([row]):
            score = row.scores[column]
            record = {
                "learner": row.learner,
                "backbone": row.backbone,
                "label": row.label,
                **_score(column, score, best.get((i, column))),
                **_training(score.costs, target),
                **_test(score.costs),
                **{key: getattr(score.protocol, key) for key in PROTOCOL},
                **_published(numbers.get((i, column))),
            }
            found.append({key: _rounded(value) for key, value in record.items()})
    return found


def to_csv(found: Sequence[Record]) -> str:
    """Return the records as CSV with a header; None is an empty field."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def _score(column: str, score: Score, unbeaten: bool | None) -> Record:
    data = score.interval("data")
    return {
        "dataset": dataset_in(column),
        "n_way": shape_of(column)[0],
        "n_shot": shape_of(column)[1],
        "accuracy": score.mean,
        "episodes_ci95": score.interval().ci95,
        "seeds_ci95": score.interval("seeds").ci95,
        "data_accuracy": data.mean,
        "data_ci95": data.ci95,
        "unbeaten": unbeaten,
        "episodes": len(score.accuracy_E),
        "seeds": len(score.by_seed),
    }


def _training(own: Costs, asked: float | None) -> Record:
    time = mean_time(own.training_times)
    return {
        "trainings": len(own.trained),
        "trainings_timed": len(own.averaged),
        "train_s": time and time.seconds,
        "warmup_s": costs.warmup(own).key,
        "cpu_s": costs.cpu_of_training(own).key,
        "others": time and time.others,
        "machine": time and time.machine.words,
        "timing_fingerprint": time and time.machine.fingerprint,
        "images": own.images,
        "peak_memory_mb": costs.training_mb(own).key,
        **_target(own, asked),
    }


def _target(own: Costs, asked: float | None) -> Record:
    """Return the time to the target: None for a miss too, which `target_reached` tells apart."""
    target = common_target(own.trained, asked)
    found = None if target is None else reached(own, asked)
    hit = found and math.isfinite(found.seconds)
    return {
        "target": target,
        "target_s": found.seconds if found and hit else None,
        "target_reached": hit,
    }


def _test(own: Costs) -> Record:
    time = mean_time(own.episode_times)
    return {
        "adapt_predict_ms": time and 1000 * time.seconds,
        "test_cpu_s": costs.cpu_of_test(own).key,
        "test_others": time and time.others,
        "test_machine": time and time.machine.words,
        "test_fingerprint": time and time.machine.fingerprint,
        "test_peak_memory_mb": costs.scoring_mb(own).key,
    }


def _published(number: Published | None) -> Record:
    keys = ("accuracy", "ci95", "source", "trust", "note")
    return {f"published_{key}": number and getattr(number, key) for key in keys}


def _rounded(value: object) -> object:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else round(value, DECIMALS)
