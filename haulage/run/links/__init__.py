"""Hard links: groups, their leaders, and the pass that links the other names."""
