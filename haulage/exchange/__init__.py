"""Files that the driver, movers and listers hand to each other."""
