"""The trash: deleted entries that can be restored."""
