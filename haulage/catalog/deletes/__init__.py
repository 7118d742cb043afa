"""Deletes: waiting plans, tombstones, and trashes that can be undone."""
