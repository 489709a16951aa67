"""Learners: one file a paper. `registry.py` names them."""
