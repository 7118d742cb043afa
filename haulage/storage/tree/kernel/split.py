"""The temporary of a file larger than a shard, which the movers of its parts share."""

import os
from collections.abc import Sequence

from haulage.errors import UnstableError
from haulage.model import Action
from haulage.storage.read_back import Written, checksum_of_ranges
from haulage.storage.tree.kernel.copying import Kernel, feed, forget_cached

CHANGED = "changed while its parts were copied"
GONE = "its parts are gone; it is copied again"


def was_published(
    dir_fd: int, name: bytes, temp: bytes, parts: Sequence[Action]
) -> bool:
    """Tell whether an attempt renamed the file and died before it could say so.

    Only the checksums of its parts tell that from an old file which looks the same.
    """
    whole = parts[-1]
    if any(piece.checksum is None for piece in parts):
        return False
    try:
        os.stat(temp, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        try:
            found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_size, found.st_mtime_ns) == (
            whole.size,
            whole.mtime_since_epoch_ns,
        )
    return False


def open_complete(dir_fd: int, name: bytes, size: int) -> int:
    """Open what all parts were written to, as long as it is to be."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        target = os.open(name, flags, dir_fd=dir_fd)
    except FileNotFoundError as err:
        raise UnstableError(GONE) from err
    os.ftruncate(target, size)  # a hole at the end was not written
    return target


def prove_parts(kernel: Kernel, target: int, parts: Sequence[Action]) -> bytes | None:
    """Return the whole's checksum; MismatchError if a part's own differs.

    None where the kernel copied, so that no part has a checksum.
    """
    if any(part.checksum is None for part in parts):
        return None
    forget_cached(target)
    ranges = sorted(Written(part.offset, part.length, part.checksum) for part in parts)
    return checksum_of_ranges(
        lambda digests, *where: feed(kernel, digests, target, *where), ranges, "written"
    )
