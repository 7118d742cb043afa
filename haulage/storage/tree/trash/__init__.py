"""What is moved aside instead of being deleted."""
