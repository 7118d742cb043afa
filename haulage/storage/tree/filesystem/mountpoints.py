"""File systems mounted below a directory, as the kernel reports them."""

import os
import re
from pathlib import Path

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_MOUNT_POINT = 4  # the column of mountinfo


def mount_points(root: str) -> tuple[bytes, ...]:
    """Return the mount points below `root`, as paths of directories from there.

    Empty if the kernel reports nothing.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return ()
    above = os.path.join(os.path.realpath(os.fsencode(root)), b"")
    found = {_ESCAPE.sub(_octal, line.split(b" ")[_MOUNT_POINT]) for line in lines}
    return tuple(
        sorted(
            path.removeprefix(above) + b"/" for path in found if path.startswith(above)
        )
    )


def _octal(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 8)])
