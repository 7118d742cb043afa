"""Buckets of any cloud, and the store that is made of one."""
