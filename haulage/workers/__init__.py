"""The worker processes: movers, listers, and the one that forks them."""
