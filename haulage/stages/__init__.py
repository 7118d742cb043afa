"""The stages of a run, and the one place where their sequence is written."""
