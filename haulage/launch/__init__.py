"""Starts the processes that list and move, and watches them."""
