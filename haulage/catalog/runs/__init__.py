"""Runs, who drives them, their shards, and the targets that they share."""
