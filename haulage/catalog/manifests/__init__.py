"""Versions of manifests, page by page."""
