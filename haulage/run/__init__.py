"""One run, from start to end; `sequence` is the table of contents."""
