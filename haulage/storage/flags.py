"""Flags that forbid every change: told of where they are, never set."""

import errno
import os

from haulage.model import Loss, Lost, parent_of, shown
from haulage.storage.descent import Descent
from haulage.storage.kept import Kept
from haulage.storage.posix import pin
from haulage.storage.statx import StatBuffer

_IMMUTABLE, _APPEND = 0x10, 0x20  # STATX_ATTR_*
_WORDS = {_IMMUTABLE: "immutable", _APPEND: "append-only"}

_buffer = StatBuffer(1)


def lost_flags(fd: int, device: int, kept: Kept) -> Lost | None:
    """Return which flags of a source's entry its copy will not have.

    That is one system call where the file system knows of flags, else none. Flags are
    permissions of a kind: who does not keep the mode is told of none.
    """
    if device in kept.flagless or not kept.mode or _buffer.fill_flags(0, fd):
        return None
    record = _buffer.records[0]
    if not int(record["flags_known"]) & (_IMMUTABLE | _APPEND):
        kept.flagless.add(device)
        return None
    names = _names(int(record["flags"]))
    return Lost(Loss.FLAGS, f"{names} flag not kept") if names else None


def _names(flags: int) -> str:
    return " and ".join(word for bit, word in _WORDS.items() if flags & bit)


def why_forbidden(descent: Descent, path: bytes, err: OSError) -> str | None:
    """Say which flag at the target is why an entry could not be changed."""
    if err.errno != errno.EPERM:
        return None
    for place in (path, parent_of(path)):
        if flags := _flags_at(descent, place):
            return (
                f"{shown(place)} is {flags} in the target, so it can not be changed; "
                f"'chattr -i -a' there takes that off"
            )
    return None


def _flags_at(descent: Descent, path: bytes) -> str:
    try:
        fd = pin(descent, path)
    except OSError:  # there is nothing, or nothing that tells more than the error
        return ""
    try:
        failed = _buffer.fill_flags(0, fd)
        return "" if failed else _names(int(_buffer.records[0]["flags"]))
    finally:
        os.close(fd)
