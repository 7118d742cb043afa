"""The verbs: one a module, ignorant of each other."""
