"""Layouts and MDTs of a Lustre."""
