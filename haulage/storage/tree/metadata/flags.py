"""Flags that forbid every change: reported where they are, never set."""

import errno
import os

from haulage.model import Loss, Lost
from haulage.paths import parent_of, shown
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import pin
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.storage.tree.metadata.statx import flags_in

_IMMUTABLE, _APPEND = 0x10, 0x20  # STATX_ATTR_*
_EITHER = _IMMUTABLE | _APPEND
_WORDS = {_IMMUTABLE: "immutable", _APPEND: "append-only"}


def lost_flags(fd: int, device: int, preserved: Preserved) -> Lost | None:
    """Return which flags of a source's entry its copy will not have.

    That costs one system call if the file system knows flags, else none. Flags are a
    kind of permission: they are not reported if the mode is not preserved.
    """
    if device in preserved.flagless or not preserved.mode:
        return None
    flags, known = flags_in(fd)
    if not known & _EITHER:
        preserved.flagless.add(device)
    if not flags & _EITHER:
        return None
    return Lost(Loss.FLAGS, f"{_names(flags)} flag not kept")


def _names(flags: int) -> str:
    return " and ".join(word for bit, word in _WORDS.items() if flags & bit)


def why_forbidden(descent: Descent, path: bytes, err: OSError) -> str | None:
    """Return which flag in the target prevented a change, or None."""
    if err.errno != errno.EPERM:
        return None
    for place in (path, parent_of(path)):
        if flags := _flags_at(descent, place):
            return (
                f"{shown(place)} is {flags} in the target, so it cannot be changed; "
                "'chattr -i -a' there clears that"
            )
    return None


def _flags_at(descent: Descent, path: bytes) -> str:
    try:
        fd = pin(descent, path)
    except OSError:  # there is nothing, or nothing that tells more than the error
        return ""
    try:
        return _names(flags_in(fd)[0])
    finally:
        os.close(fd)
