"""Until when the movers of a run may act, if their driver is not heard of meanwhile.

A driver that cannot say that it lives is taken for dead by others, when its lease is
over. Its movers end before that by themselves, also those that were stopped with all of
their machine: the clock goes on while that sleeps.
"""

import mmap
import os
import struct
from pathlib import Path

from haulage.boottime import now_s
from haulage.private import make_file

_UNTIL = struct.Struct("<d")


class Lease:
    """A file of the workspace that says until when; the driver renews it."""

    def __init__(self, file: Path | None) -> None:
        """Open the file; without one nothing is ever over."""
        self._until: mmap.mmap | None = None
        if file is None:
            return
        try:
            fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            self._until = mmap.mmap(fd, _UNTIL.size)
        finally:
            os.close(fd)

    @classmethod
    def begin(cls, file: Path) -> "Lease":
        """Make the file anew; the lease is over until it is renewed.

        Movers of an earlier driver keep the file that they have, which nobody renews.
        """
        file.unlink(missing_ok=True)
        make_file(file)
        file.write_bytes(bytes(_UNTIL.size))
        return cls(file)

    def renew(self, until_s: float) -> None:
        """Let movers act until then."""
        if self._until:
            _UNTIL.pack_into(self._until, 0, until_s)

    def is_over(self) -> bool:
        """Tell whether nobody may act any more."""
        return self._until is not None and now_s() > _UNTIL.unpack_from(self._until)[0]

    def close(self) -> None:
        """Let go of the file."""
        if self._until:
            self._until.close()
