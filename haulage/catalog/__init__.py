"""The catalog: every run, shard, manifest and failure, in SQLite or Postgres."""
