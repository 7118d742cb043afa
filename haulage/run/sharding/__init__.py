"""Sharding: actions into shards, shards into waves, and their outcomes."""
