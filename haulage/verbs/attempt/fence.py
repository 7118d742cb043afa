"""The file by which an attempt tells how far it is, and learns that it was replaced."""

import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from haulage.errors import CancelledError
from haulage.exchange.progress_file import PROGRESS


class Fence:
    """An attempt's own file, which stands from its order to its end.

    Whoever gives the shard to another attempt removes it first, and only then what
    this one left: a temporary that was not swept is younger than the removal. Asking
    between making it and renaming it, a mover that comes late changes nothing.
    """

    def __init__(self, file: Path) -> None:
        """Open the file; CancelledError when it was removed before this began."""
        try:
            self._fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as err:
            raise CancelledError("another attempt has taken this shard over") from err
        self._shared = mmap.mmap(self._fd, PROGRESS.size)

    def tell(self, done: int, moved: int) -> None:
        """Say how many entries are done and how many bytes were moved."""
        PROGRESS.pack_into(self._shared, 0, done, moved)

    def was_replaced(self) -> bool:
        """Tell whether another attempt has the shard now."""
        try:
            return os.fstat(self._fd).st_nlink == 0
        except OSError:  # removed by another machine, which some file systems tell so
            return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shared.close()
        os.close(self._fd)
