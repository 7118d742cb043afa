"""What may refuse a run, a target, or a delete."""
