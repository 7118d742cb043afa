"""Whether a host sees what the driver sees: version, user, source and target."""

import os
from itertools import islice

from haulage.exchange.wave_files import Root, Setup

_MARKS = 8


def root_of(what: str, path: str) -> Root:
    """Return what the driver sees of a directory; no marks if it cannot be listed, as
    when it is not there yet: whoever uses it says why.
    """
    try:
        with os.scandir(os.fsencode(path)) as entries:
            marks = tuple(entry.name.hex() for entry in islice(entries, _MARKS))
    except OSError:
        marks = ()
    return Root(what, path, marks)


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
    full = os.fsencode(root.path)
    if not root.marks:
        return None
    try:
        names = {bytes.fromhex(mark) for mark in root.marks}
        if any(os.path.lexists(os.path.join(full, name)) for name in names):
            return None
        os.stat(full)
    except OSError as err:
        return f"the {root.what} {root.path} is not there: {err.strerror}; mount it"
    return (
        f"the {root.what} {root.path} holds other entries there than for the driver; "
        "mount the same file system"
    )
