"""Numbers in the words of the page: those of tables."""

from fewshot.words import Entry, count, difference, duration, letter, number, percent, signed

__all__ = ["Entry", "count", "difference", "duration", "letter", "number", "percent", "signed"]
