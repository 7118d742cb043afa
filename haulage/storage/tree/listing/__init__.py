"""A directory tree in canonical order."""
