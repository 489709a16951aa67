"""Cells on disk, and the table rows and comparisons made of them. Needs no torch."""
