"""Lists a store by lister processes of this machine."""
