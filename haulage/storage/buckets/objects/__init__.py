"""A bucket's prefix as a store."""
