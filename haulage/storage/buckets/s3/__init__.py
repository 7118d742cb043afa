"""Buckets of Amazon's protocol."""
