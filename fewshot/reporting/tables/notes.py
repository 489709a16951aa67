"""The sentences below a table: they say what its numbers are, and which may not be compared."""

from collections.abc import Mapping, Sequence

from fewshot.reporting.published import Published
from fewshot.reporting.tables.layout import MARK
from fewshot.reporting.tables.lines import Line
from fewshot.results.comparison import SIGNIFICANCE
from fewshot.results.files import CellResult
from fewshot.results.protocol import protocol_words
from fewshot.results.rows import Over, TableRow, commits, protocol_differences, protocol_of
from fewshot.results.timing import DISTURBED, Machine, Timing
from fewshot.units import share

NOTES: dict[Over, str] = {
    "episodes": "over test episodes (not over training seeds)",
    "seeds": "over training seeds",
    "data": "over images: the mean is that of test episodes that share none",
}


def accuracy_notes(over: Over, bold: bool) -> list[str]:
    """Return the sentences about the accuracies."""
    notes = [f"Accuracy in %, ± half-width of the 95 % interval {NOTES[over]}."]
    if bold:
        notes.append(
            "Bold (or *): not beaten by the best row of the same protocol (paired permutation test "
            f"over the same episodes, {100 * SIGNIFICANCE:g} %, Holm's correction over all pairs)."
        )
    return notes


def protocol_note(lines: Sequence[Line]) -> str:
    """Return the sentence about what all rows share, and what each letter stands for beyond it."""
    by_letter = {line.protocol: line.row for line in lines}
    shared, own = protocol_differences(list(by_letter.values()))
    first = next(iter(by_letter.values()))
    note = f"Protocol: {protocol_words(protocol_of(first), shared)}" if shared else "Protocol:"
    if not own:
        return f"{note}."
    letters = sorted(by_letter, key=lambda mark: (len(mark), mark))
    apart = [f"{mark}: {protocol_words(protocol_of(by_letter[mark]), own)}" for mark in letters]
    return "; ".join([note, *apart]) + "."


def published_notes(
    rows: Sequence[TableRow], numbers: Mapping[tuple[int, str], Published]
) -> list[str]:
    """Return the sentence that says whose numbers stand beside those measured."""
    if not numbers:
        return []
    sources: dict[str, None] = {}
    for (i, _), n in numbers.items():
        note = f"; {n.note}" if n.note else ""
        sources[f"{rows[i].learner} {rows[i].backbone}: {n.source} ({n.trust}{note})"] = None
    return [
        "Published numbers are others' (own images, backbones, episodes; their ± as they mean it), "
        f"gap is measured less published: {'. '.join(sources)}."
    ]


def scoring_note(cells: Sequence[CellResult]) -> str:
    """Return the sentence about the number of episodes and their queries."""
    scorings = (cell.run.config.scoring for cell in cells)
    found = {f"{s.episodes:,} episodes of {s.n_query} queries a class" for s in scorings}
    return f"{'; '.join(sorted(found))}."


TARGET_NOTE = (
    "To a validation accuracy: the time of training until a validation first met it (median over "
    "trainings, and how many met it); >: not by the end of the training."
)


def timing_notes(
    letters: Mapping[Machine, str], timings: Sequence[Timing], has_parts: bool
) -> list[str]:
    """Return the sentences about the machines of times, and about those that were disturbed.

    has_parts: whether a mean leaves some trainings or tests out.
    """
    notes = []
    if letters:
        machines = "; ".join(f"{mark}: {machine.words}" for machine, mark in letters.items())
        notes.append(f"Times with different letters are not to be compared: {machines}.")
    elif timings:
        notes.append(f"Timed on {timings[0].machine.words}.")
    disturbed = [t.others for t in timings if t.disturbed and t.others is not None]
    if disturbed:
        ends = dict.fromkeys(share(found).text for found in (min(disturbed), max(disturbed)))
        notes.append(
            f"{MARK}: other processes used more than {share(DISTURBED).text} of the machine "
            f"meanwhile ({' to '.join(ends)})."
        )
    if has_parts:
        notes.append("(n of m): n of m were timed alike, and their mean is shown.")
    return notes


def commit_note(cells: Sequence[CellResult]) -> str:
    """Return the sentence about the commits that the cells were made at."""
    return f"Commit {commits(cells)}."
