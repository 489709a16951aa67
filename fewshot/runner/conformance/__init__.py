"""The contract of a learner as checks that anyone can run."""
