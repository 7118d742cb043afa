"""One try at a shard: what it works with, and what stops it."""
