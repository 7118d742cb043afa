"""Files that the driver, movers and listers exchange."""
