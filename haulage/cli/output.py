"""Standard output and standard error, neither of which changes what a run came to."""

import errno
import io
import os
import sys
from typing import Any


class OutputError(Exception):
    """Standard output did not take what was to be written there."""

    def __init__(self, err: OSError) -> None:
        super().__init__(f"standard output cannot be written: {err.strerror}")
        self.reader_had_enough = err.errno == errno.EPIPE


class Stream(io.FileIO):
    """One of the two. After a first failure what is written to it is dropped.

    That failure raises OutputError only where the output `must_arrive`: it is all that
    a command is for, such as a list.
    """

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "wb", closefd=False)
        self.must_arrive = False
        self.failure: OutputError | None = None

    def write(self, data: Any) -> int:  # noqa: ANN401  whatever has a buffer
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as err:
                self.failure = OutputError(err)
                if self.must_arrive:
                    raise self.failure from err
        return memoryview(data).nbytes


def take_over() -> Stream:
    """Have all that is printed go through streams of this kind; return the output's.

    Text is UTF-8 under every locale, as the names of files are bytes.
    """
    out, err = Stream(1), Stream(2)
    at_once = "PYTHONUNBUFFERED" in os.environ
    sys.stdout = _text(out, at_once=at_once or out.isatty())
    sys.stderr = _text(err, at_once=True)
    return out


def _text(stream: Stream, *, at_once: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=at_once,
    )
