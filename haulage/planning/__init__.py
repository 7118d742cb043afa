"""What differs and what to do about it: columns in, columns out, no I/O on stores."""
