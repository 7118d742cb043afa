"""Slots of movers on other machines, started by any engine."""
