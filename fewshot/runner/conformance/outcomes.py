"""All checks by name, and how each ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fewshot.runner.conformance.contract import (
    adapting_changes_nothing,
    episodes_are_apart,
    features_equal_images,
    gradients_reach_every_parameter,
    inductive_as_declared,
    logits_depend_on_queries,
    memory_stays_flat,
    no_global_randomness,
    nothing_is_remembered,
    query_labels_do_not_leak,
    query_order,
    relabelling,
    repeats_itself,
    saves_and_loads,
    shapes_and_numbers,
    support_order,
)
from fewshot.runner.conformance.learning import above_chance, chance_on_shuffled_labels
from fewshot.runner.conformance.subject import (
    FaultError,
    NotApplicableError,
    Subject,
    make_subject,
)


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
    settings: Sequence[str] = (),
    say: Callable[[str], None] = lambda name: None,
) -> list[Outcome]:
    """Return the outcome of every check of a learner's contract.

    learner, backbone: a name or FILE.py:CLASS. settings: `option=value` of the learner. say: hears
    the name of each check as it begins.
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
        shapes_and_numbers,
        logits_depend_on_queries,
        adapting_changes_nothing,
        nothing_is_remembered,
        query_labels_do_not_leak,
        repeats_itself,
        no_global_randomness,
        support_order,
        query_order,
        episodes_are_apart,
        relabelling,
        inductive_as_declared,
        gradients_reach_every_parameter,
        saves_and_loads,
        features_equal_images,
        memory_stays_flat,
        above_chance,
        chance_on_shuffled_labels,
    )
}
