"""What a process of Haulage does first; import this before anything else.

Descriptors 0 to 2 are open from here on. Where whoever started the process closed one,
the next file would get its number, and be read or written as a standard stream.
"""

import os
import sys
from typing import TextIO, cast


def _open_standard_descriptors() -> None:
    """Open what is closed of them on /dev/null, for this process and those it starts.

    A new descriptor has the lowest free number.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)  # noqa: FBT003  positional by its signature
    os.close(fd)


def _stream(known: TextIO | None, fd: int, mode: str) -> TextIO:
    """Return what Python has for a descriptor, which is nothing if it was closed."""
    return known or cast("TextIO", open(fd, mode, encoding="utf-8", closefd=False))


def insist_on_utf8() -> None:
    """Begin anew in Python's UTF-8 mode, if the locale has another encoding for names.

    Names are bytes. What stands in text, such as a root or a pattern, means the same
    ones in every locale only if all text is UTF-8.
    """
    if sys.getfilesystemencoding() != "utf-8":
        words = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execv(sys.executable, words)  # noqa: S606  the very same program


_open_standard_descriptors()
sys.stdin = _stream(sys.stdin, 0, "r")
sys.stdout = _stream(sys.stdout, 1, "w")
sys.stderr = _stream(sys.stderr, 2, "w")
