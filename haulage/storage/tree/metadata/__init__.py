"""Attributes of entries: read, set, kept, and told where they are lost."""
