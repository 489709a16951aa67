"""Statistics of episodes: pure functions of arrays, numpy and scipy alone."""
