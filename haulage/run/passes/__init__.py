"""The passes after the first copy, one a file."""
