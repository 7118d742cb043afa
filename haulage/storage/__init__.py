"""Stores: roots that hold entries."""
