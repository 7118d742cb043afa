"""Prefect flows over the engine; one flow a file."""
