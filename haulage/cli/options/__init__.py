"""The options of the sub-commands; nothing here imports what is slow to start."""
