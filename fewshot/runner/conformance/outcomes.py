"""All checks by name, and how each ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fewshot.runner.conformance import contract, learning
from fewshot.runner.conformance.subject import (
    FaultError,
    NotApplicableError,
    Subject,
    make_subject,
)
from fewshot.runner.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """The end of a check; `message` says what is wrong, or why it was skipped."""

    name: str
    verdict: Literal["passed", "failed", "skipped"]
    message: str
    seconds: float


Check = Callable[[Subject], None]


def check(
    learner: str,
    *,
    backbone: str = "conv4",
    settings: Settings = (),
    say: Callable[[str], None] = lambda name: None,
) -> list[Outcome]:
    """Return the outcome of every check of a learner's contract.

    learner, backbone: a name or FILE.py:CLASS. settings: `option=value` of the learner, or a
    dict. say: hears the name of each check as it begins.
    Raises UserError for unknown names and options, and for a class that is no learner at all.
    """
    return run_checks(make_subject(learner, backbone, settings), say=say)


def run_checks(
    subject: Subject,
    checks: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda name: None,
) -> list[Outcome]:
    """Return the outcome of each check, all of them if none are named; `say` hears their names."""
    out = []
    for name in CHECKS if checks is None else checks:
        say(name)
        start = time.perf_counter()
        verdict: Literal["passed", "failed", "skipped"] = "passed"
        message = ""
        try:
            CHECKS[name](subject)
        except FaultError as fault:
            verdict, message = "failed", str(fault)
        except NotApplicableError as reason:
            verdict, message = "skipped", str(reason)
        except Exception as error:
            text = (str(error).splitlines() or [""])[0]
            verdict, message = "failed", f"raised {type(error).__name__}: {text}"
        out.append(Outcome(name, verdict, message, time.perf_counter() - start))
    return out


CHECKS: dict[str, Check] = {
    check.__name__.replace("_", " "): check
    for check in (
        contract.shapes_and_numbers,
        contract.logits_depend_on_queries,
        contract.adapting_changes_nothing,
        contract.nothing_is_remembered,
        contract.query_labels_do_not_leak,
        contract.repeats_itself,
        contract.no_global_randomness,
        contract.support_order,
        contract.query_order,
        contract.episodes_are_apart,
        contract.relabelling,
        contract.inductive_as_declared,
        contract.gradients_reach_every_parameter,
        contract.saves_and_loads,
        contract.features_equal_images,
        contract.memory_stays_flat,
        learning.above_chance,
        learning.chance_on_shuffled_labels,
    )
}
