"""List a store with lister processes of this machine."""
