"""Boxes of texts on a page."""


def overlap(a, b):
    """Return whether two boxes share more than an edge."""
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
