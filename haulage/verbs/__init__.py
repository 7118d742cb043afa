"""How one entry is done: an Action in, an Outcome out."""
