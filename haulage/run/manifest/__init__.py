"""The manifest that a run ends with: the one it began with plus the outcomes."""
