"""Optimisation inside an episode: its algebra, the learners built on it, and engines."""
