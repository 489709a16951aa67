"""Backbones: images to features. `registry.py` names them."""
