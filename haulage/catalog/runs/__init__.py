"""Runs, their drivers, their shards, and the targets that they share."""
