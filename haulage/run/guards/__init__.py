"""Guards: checks that may refuse a run, a target, or a delete."""
