"""First steps of every Haulage process; import this before anything else.

Descriptors 0 to 2 are open from here on. If the process was started with one of them
closed, the next file would get its number, and be used as a standard stream.
"""

import os
import sys
from typing import TextIO, cast


def _open_standard_descriptors() -> None:
    """Open closed ones on /dev/null, for this process and those it starts.

    A new descriptor has the lowest free number.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)  # noqa: FBT003  positional by its signature
    os.close(fd)


def _stream(known: TextIO | None, fd: int, mode: str) -> TextIO:
    """Return Python's stream of a descriptor, which is None if it was closed."""
    return known or cast("TextIO", open(fd, mode, encoding="utf-8", closefd=False))


def insist_on_utf8() -> None:
    """Restart in Python's UTF-8 mode, if the locale encodes names otherwise.

    Names are bytes. A root or a pattern in text means the same names in every locale
    only if all text is UTF-8.
    """
    if sys.getfilesystemencoding() != "utf-8":
        words = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execv(sys.executable, words)  # noqa: S606  the very same program


_open_standard_descriptors()
sys.stdin = _stream(sys.stdin, 0, "r")
sys.stdout = _stream(sys.stdout, 1, "w")
sys.stderr = _stream(sys.stderr, 2, "w")
