"""Actions into shards, shards into waves, and what became of them."""
