"""Deletes that wait, happened, or can be undone."""
