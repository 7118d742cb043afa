"""Discovery: list, compare and plan."""
