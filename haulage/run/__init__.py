"""One run, from its begin to its end; `sequence` is the table of contents."""
