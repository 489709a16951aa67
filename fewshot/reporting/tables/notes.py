"""The sentences below a table: they say what its numbers are, and which may not be compared."""

from collections.abc import Mapping, Sequence

from fewshot.reporting.published import Published
from fewshot.reporting.tables.layout import MARK, Layout
from fewshot.reporting.tables.lines import Line
from fewshot.results.files import CellResult
from fewshot.results.protocol import PROTOCOL, differing_keys, protocol_words
from fewshot.results.rivals import SIGNIFICANCE
from fewshot.results.rows import Over, TableRow, commits
from fewshot.results.timing import DISTURBED
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


def protocols_in_words(lines: Sequence[Line]) -> tuple[str, dict[str, str]]:
    """Return what all protocols share, and by letter what each one has beyond it."""
    by_letter = {line.protocol: line.row.protocol for line in lines}
    protocols = list(by_letter.values())
    own = differing_keys(protocols)
    shared = protocol_words(protocols[0], [key for key in PROTOCOL if key not in own])
    letters = sorted(by_letter, key=lambda mark: (len(mark), mark))
    return shared, {mark: protocol_words(by_letter[mark], own) for mark in letters}


def protocol_note(lines: Sequence[Line]) -> str:
    """Return the sentence about what all rows share, and what each letter stands for beyond it."""
    shared, apart = protocols_in_words(lines)
    note = f"Protocol: {shared}".rstrip()
    each = [f"{mark}: {words}" for mark, words in apart.items()] if len(apart) > 1 else []
    return "; ".join([note, *each]) + "."


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


def timing_notes(layout: Layout) -> list[str]:
    """Return the sentences about the machines of times, and about those that were disturbed."""
    notes = []
    if layout.letters:
        machines = "; ".join(f"{mark}: {machine.words}" for machine, mark in layout.letters.items())
        notes.append(f"Times with different letters are not to be compared: {machines}.")
    elif layout.timings:
        notes.append(f"Timed on {layout.timings[0].machine.words}.")
    disturbed = [t.others for t in layout.timings if t.disturbed and t.others is not None]
    if disturbed:
        ends = dict.fromkeys(share(found).text for found in (min(disturbed), max(disturbed)))
        notes.append(
            f"{MARK}: other processes used more than {share(DISTURBED).text} of the machine "
            f"meanwhile ({' to '.join(ends)})."
        )
    if layout.has_parts:
        notes.append("(n of m): n of m were timed alike, and their mean is shown.")
    return notes


def commit_note(cells: Sequence[CellResult]) -> str:
    """Return the sentence about the commits that the cells were made at."""
    return f"Commit {commits(cells)}."
