"""What a mover works with while it goes through a shard."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from haulage.errors import CancelledError, VanishedError
from haulage.model import Entry
from haulage.place import part_bytes
from haulage.storage.checksums import Content
from haulage.storage.store import Reading, Seen, Store
from haulage.storage.tree.kernel.copying import Kernel

_PROOFS = 1024


class Proofs:
    """What files with more names than one were read to be; the last ones of a shard."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._read: OrderedDict[tuple[int, int, int, int], Content] = OrderedDict()

    def of(self, found: Entry) -> Content | None:
        """Return the content of a file that was read before, and is the same still."""
        return self._read.get(_version(found))

    def note(self, found: Entry, content: Content) -> None:
        """Keep the content in mind if another name of the file may ask for it."""
        if found.nlink > 1 and found.etag is None:
            self._read[_version(found)] = content
            if len(self._read) > _PROOFS:
                self._read.popitem(last=False)


def _version(found: Entry) -> tuple[int, int, int, int]:
    return found.dev, found.ino, found.ctime_s, found.ctime_ns


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
class Attempt:
    """Both stores, the room for content, and threads for the ranges of large entries.

    `hashing` tells that the parts of a split file are to be read back.
    `cancelled` is asked between entries and inside long copies.
    """

    source: Store
    target: Store
    hashing: bool
    verifies_content: bool
    cancelled: Callable[[], bool]
    room: Room
    ranges: ThreadPoolExecutor
    kernel: Kernel | None = None  # between two trees
    proofs: Proofs = field(default_factory=Proofs)
    ended_by: BaseException | None = None
    _streamed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check_cancelled(self) -> None:
        """Raise CancelledError when nothing more may be done for this attempt.

        Asked right before a change of the target as well: an attempt that was replaced
        would undo what a later one did.
        """
        if self.cancelled():
            raise CancelledError("stopped on request")
        if self.ended_by is not None:
            raise CancelledError("another entry ended the shard")

    def end(self, error: BaseException) -> None:
        """Have every entry of the shard end soon; the first error says why."""
        with self._lock:
            self.ended_by = self.ended_by or error

    def opened(
        self, store: Store, path: bytes, size: int, etag: bytes | None
    ) -> AbstractContextManager[Reading]:
        """Open an entry; for one that comes as a whole, room is held until it closes.

        Nobody may wait for more room meanwhile. Between two trees none is needed.
        """
        if self.kernel is not None:
            return store.open(path, size, etag)
        return self._opened_with_room(store, path, size, etag)

    @contextmanager
    def _opened_with_room(
        self, store: Store, path: bytes, size: int, etag: bytes | None
    ) -> Iterator[Reading]:
        with self.room.held(whole_bytes(size)), store.open(path, size, etag) as reading:
            yield reading

    def note_moved(self, count: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            self._streamed += count

    @property
    def moved(self) -> int:
        """Return how many bytes arrived so far."""
        return self._streamed + (self.kernel.moved if self.kernel else 0)


def look_again(attempt: Attempt, path: bytes) -> Seen:
    """Return what the source has now; VanishedError if that is nothing."""
    seen = attempt.source.look(path, described=True)
    if seen is None:
        raise VanishedError("is gone since it was listed")
    return seen
