"""Move and keep in sync huge file trees, and prove that every byte arrived."""
