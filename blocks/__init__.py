"""Prefect forms over engine values."""
