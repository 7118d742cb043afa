"""Attributes of entries: read, set, preserved, and reported when lost."""
