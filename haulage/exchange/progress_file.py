"""An attempt's progress file: how far it is, and that the shard is still its own.

It stands from the order to the end of the attempt. Whoever gives the shard to another
attempt removes it first. Where a lease counts, its mover renames it every few seconds,
from one of two names to the other and back.
"""

import struct
from contextlib import suppress
from pathlib import Path

from haulage.private import make_file

PROGRESS = struct.Struct("<QQ")  # entries done, bytes moved
_TRIES = 20


def begin(file: Path) -> None:
    """Make the file of an attempt that is about to be ordered, unless it is there."""
    if not any(name.exists() for name in names_of(file)):
        make_file(file)
        file.write_bytes(bytes(PROGRESS.size))


def names_of(file: Path) -> tuple[Path, Path]:
    """Return both names that the file may have."""
    return file, file.with_name(f"{file.name}.held")


def read(file: Path) -> tuple[int, int]:
    """Return the entries done and the bytes moved; zeros if nobody has told any."""
    for name in names_of(file):
        with suppress(FileNotFoundError):
            content = name.read_bytes()
            if len(content) == PROGRESS.size:
                done, moved = PROGRESS.unpack(content)
                return done, moved
    return 0, 0


def revoke(file: Path) -> None:
    """Remove the file, under whichever name it has: from here on no lease is renewed.

    Its mover renames it every few seconds; that it does so between two looks, at each
    of many, is impossible.
    """
    for _ in range(_TRIES):
        for name in names_of(file):
            with suppress(FileNotFoundError):
                name.unlink()
                return
