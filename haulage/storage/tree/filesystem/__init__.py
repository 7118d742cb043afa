"""What the file system below a tree is like: its clock, mounts, names, and sync."""
