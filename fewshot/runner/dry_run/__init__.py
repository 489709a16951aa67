"""What a benchmark will cost on this machine, before it is run."""
