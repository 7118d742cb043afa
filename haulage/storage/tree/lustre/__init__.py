"""Lustre layouts and MDTs."""
