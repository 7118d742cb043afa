"""Start the processes that list and move, and watch them."""
