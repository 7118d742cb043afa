"""Buckets of any cloud, and a bucket's prefix as a store."""
