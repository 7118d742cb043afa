"""Directory trees, accessed by descriptors."""
