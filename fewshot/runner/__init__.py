"""A benchmark: read, validated, run cell by cell."""
