"""Readers: one file for each published form of a data set."""
