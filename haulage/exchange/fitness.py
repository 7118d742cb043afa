"""Whether a host sees what the driver sees: version, user, source and target."""

import os
from itertools import islice

from haulage.exchange.wave_files import Root, Setup

_MARKS = 8


def root_of(what: str, path: str) -> Root:
    """Return what the driver sees of a directory, or of the one above if it is new."""
    seen = path
    while not os.path.isdir(seen) and os.path.dirname(seen) != seen:
        seen = os.path.dirname(seen)
    try:
        with os.scandir(os.fsencode(seen)) as entries:
            marks = tuple(entry.name.hex() for entry in islice(entries, _MARKS))
    except OSError:  # whoever uses it says why
        marks = ()
    return Root(what, path, seen, marks)


def unfit(setup: Setup, version: str) -> str | None:
    """Return why this host cannot do what the driver wants, or None if it can."""
    if version != setup.version:
        return (
            f"Haulage {version} is installed there, the driver is {setup.version}; "
            "install the same version"
        )
    if os.getuid() != setup.uid:
        return (
            f"slots run as uid {os.getuid()} there, the driver as {setup.uid}; submit "
            "as the same user"
        )
    return next(filter(None, map(_differs, setup.roots)), None)


def _differs(root: Root) -> str | None:
    """Return how a directory differs from what the driver saw, or None.

    Some of its names may have come or gone meanwhile; all of them have not.
    """
    full = os.fsencode(root.seen)
    try:
        names = {bytes.fromhex(mark) for mark in root.marks}
        if any(os.path.lexists(os.path.join(full, name)) for name in names):
            return None
        os.stat(full)
        if not names:
            return None
    except OSError as err:
        return f"the {root.what} {root.path} is not there: {err.strerror}; mount it"
    return (
        f"the {root.what} {root.path} holds other entries there than for the driver; "
        "mount the same file system"
    )
