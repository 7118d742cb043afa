"""Recovery: what an interrupted run, a lost attempt or an old run leaves behind."""
