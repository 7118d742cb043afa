"""Trees of files, by descriptors."""
