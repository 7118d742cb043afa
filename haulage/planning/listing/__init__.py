"""What of a listing takes part: selection, unmounted file systems, folded names."""
