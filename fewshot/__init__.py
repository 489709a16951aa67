"""Few-shot learners, one harness: which gives what accuracy at what wall-clock cost."""

__version__ = "0.1.0"
