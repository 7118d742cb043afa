"""Stores: directories and buckets that hold entries."""
