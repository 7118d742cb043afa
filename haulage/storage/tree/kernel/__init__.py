"""What the kernel copies by itself, and how what was copied is proven."""
