"""One learner, trained and scored."""
