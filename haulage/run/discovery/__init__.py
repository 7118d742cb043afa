"""Lists, compares and plans: what there is to do."""
