"""The cost of a benchmark on this machine, before it is run."""
