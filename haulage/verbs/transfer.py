"""What a mover works with between two stores of which one at least is a bucket."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from haulage.errors import CancelledError
from haulage.place import part_bytes
from haulage.storage.store import Reading, Store


class Room:
    """The bytes of content that a process may hold at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._changed = threading.Condition()

    def try_take(self, count: int) -> bool:
        """Take room if there is enough now; what asks for all of it gets that."""
        with self._changed:
            if self._free < min(count, self._limit):
                return False
            self._free -= min(count, self._limit)
            return True

    def take(self, count: int) -> None:
        """Wait for room; whoever waits must hold none."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= min(count, self._limit))
            self._free -= min(count, self._limit)

    def give_back(self, count: int) -> None:
        """Return what was taken."""
        with self._changed:
            self._free += min(count, self._limit)
            self._changed.notify_all()

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Hold room for a while."""
        self.take(count)
        try:
            yield
        finally:
            self.give_back(count)


def whole_bytes(size: int) -> int:
    """Return the room for an entry that is read at once; none for a large one."""
    return 0 if is_large(size) else size


def is_large(size: int) -> bool:
    """Tell whether an entry is moved in ranges."""
    return size > part_bytes(size)


@dataclass(slots=True)
class Carrier:
    """Both stores, the room for content, and threads for the ranges of large entries.

    `hashing` tells that a split file's parts are read back when it is published.
    """

    source: Store
    target: Store
    hashing: bool
    verifies_content: bool
    cancelled: Callable[[], bool]
    room: Room
    ranges: ThreadPoolExecutor
    moved: int = 0
    ended_by: BaseException | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check_cancelled(self) -> None:
        """Raise CancelledError when this mover was asked to stop, or must."""
        if self.cancelled():
            raise CancelledError("stopped on request")
        if self.ended_by is not None:
            raise CancelledError("another entry ended the shard")

    def end(self, error: BaseException) -> None:
        """Have every entry of the shard end soon; the first error says why."""
        with self._lock:
            self.ended_by = self.ended_by or error

    @contextmanager
    def opened(
        self, store: Store, path: bytes, size: int, etag: bytes | None
    ) -> Iterator[Reading]:
        """Open an entry; for one that comes as a whole, room is held until it closes.

        Nobody may wait for more room meanwhile.
        """
        with self.room.held(whole_bytes(size)), store.open(path, size, etag) as reading:
            yield reading

    def note_moved(self, count: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            self.moved += count
