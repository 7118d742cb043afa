"""The processes that do the work: movers, listers, and the one that forks them."""
