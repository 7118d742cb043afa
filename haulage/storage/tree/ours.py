"""Names in a root that are Haulage's own: they are never listed as entries."""

TRASH = b".haulage-trash/"  # a path and, at the root, a name
MARK = b".haulage-state-"


def is_ours(path: bytes) -> bool:
    """Tell whether a path is one of Haulage's own names in a root."""
    return is_trash(path) or is_mark(path)


def is_mark(path: bytes) -> bool:
    """Tell whether a path is the mark of any dataset."""
    return path.startswith(MARK)


def is_trash(path: bytes) -> bool:
    """Tell whether a path is the trash, or below it, whatever its kind."""
    return path.startswith(TRASH) or path == TRASH[:-1]
