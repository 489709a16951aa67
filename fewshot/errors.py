"""The one exception that stands for a user's mistake."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake the user can mend: shown as one line, exit code 2, never a traceback."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not among the known ones, with the nearest of them.

    >>> unknown_name("learner", "protnet", ["protonet", "mtl"])
    UserError("unknown learner 'protnet': did you mean 'protonet'?")
    """
    known = sorted(known) or ["none"]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
    return UserError(f"unknown {kind} '{name}': {hint}")
