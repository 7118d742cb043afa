"""The store protocol: look up, read, and make entries, whole or not at all.

A directory is a store (`tree`), a bucket's prefix is one (`objects`). Code that moves
bytes between two stores uses only this protocol.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from haulage.model import Action, Entry, Lost, Outcome
from haulage.storage.checksums import Checksum
from haulage.storage.resumable import Done


@dataclass(frozen=True, slots=True)
class Carried:
    """What only objects have; it is copied from bucket to bucket with the content."""

    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # Cache-Control and such
    metadata: Mapping[str, str] = field(default_factory=dict)  # the user's own
    tags: tuple[tuple[str, str], ...] = ()


NOTHING_CARRIED = Carried()


class Extended(NamedTuple):
    """What only files have, and what goes from tree to tree with the bytes."""

    atime_ns: int
    xattrs: Mapping[str, bytes]


class Now(NamedTuple):
    """The time by a store's clock: reached, but not passed."""

    earliest_ns: int
    latest_ns: int


class Seen(NamedTuple):
    """An entry as it is now, and what goes with it to another store of its kind.

    `unkept` is what it has and the other end cannot hold.
    """

    entry: Entry
    carried: Carried = NOTHING_CARRIED
    unkept: Lost | None = None
    extended: Extended | None = None


class Made(NamedTuple):
    """The result for an entry that was made.

    `etag` is the target's own, if it has one; for a file that could not get its
    source's time it is a `mtime_mark`. `lost` says what the store could not keep;
    `proven` tells that the content that arrived is what was sent.
    """

    etag: bytes | None = None
    lost: Lost | None = None
    proven: bool = False
    changed: bool = True  # False: it was like that already
    checksum: bytes | None = None  # of what was read back, where that was asked


class Within(NamedTuple):
    """What the target's own server or kernel copied, from what it was then."""

    seen: Seen
    made: Made
    moved: int
    racy: bool = False


def is_implied(entry: Entry) -> bool:
    """Tell whether a directory is only implied: it has neither inode nor object."""
    return not entry.nlink and entry.etag is None


class Extent(NamedTuple):
    """A byte range of one file or object."""

    offset: int
    length: int


Chunks = Iterator[bytes | memoryview]


class Sums:
    """Compares the content of a large entry with its store's sum; here there is none.

    Ranges may be read by several processes: the results of `of` are kept for `check`.
    """

    def of(self, extent: Extent, content: bytes | memoryview) -> bytes:
        """Return what must be remembered of a range; from any thread."""
        return b""

    def follow(self, extent: Extent, content: bytes | memoryview) -> None:
        """Add a range of content that is read from start to end."""

    def check(self, known: Mapping[int, bytes]) -> None:
        """Raise MismatchError if the ranges, by offset, do not give the whole's sum."""


class Reading(Protocol):
    """A source's open file or object; use as a context manager."""

    seen: Seen

    def describe(self) -> Seen:
        """Return `seen`, with all that another store of this kind can have of it."""
        return self.seen

    def read(self, extent: Extent) -> bytes | memoryview:
        """Return exactly the range; UnstableError if it is shorter, or another version.

        May be called from any thread.
        """
        ...

    def forget_cached(self) -> None:
        """Make the next reads come from the store itself, not from a cache."""
        ...

    def feed(self, checksum: Checksum) -> bool:
        """Add all content to a checksum; False where ranges are read instead."""
        return False

    @property
    def has_huge_holes(self) -> bool:
        """Tell whether hashing it all would take long and prove little."""
        return False

    def has_same_data(self, other: "Reading") -> bool:
        """Tell whether another of the same kind is equal, reading no holes."""
        ...

    def confirm(self) -> None:
        """Raise UnstableError if the source changed after it was opened."""
        ...

    @property
    def sums(self) -> Sums:
        """Return the sums for a large entry read in ranges, the same each time."""
        return Sums()

    def close(self) -> None:
        """Give up the content; a `with` statement calls it at its end."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def nothing() -> None:
    """Have nothing to say against a name."""


class Writing(Protocol):
    """A large file or object made range by range, by one mover or by several.

    Ranges are aligned to `place.part_bytes` of the whole size. They may be written in
    any order, from any thread, and twice. `done` has the ranges that another attempt
    has finished.
    """

    done: Mapping[int, Done]  # by the offset of the range

    def write(self, offset: int, content: bytes | memoryview, done: Done) -> None:
        """Write one range, and record it as `done`; this sets its etag.

        MismatchError if it is to be proven and reads back as something else.
        """
        ...

    def finish(self, seen: Seen, confirm: Callable[[], None] = nothing) -> Made:
        """Set the attributes and the final name; every range must be written.

        UnstableError if one is missing; MismatchError if what is proven only here is
        not what was sent. `confirm` is called right before the final name is set; it
        may raise to prevent that. Wrong content is removed; a mere stop keeps the
        ranges.
        """
        ...

    def abandon(self) -> None:
        """Remove the ranges written so far."""
        ...

    def leave(self) -> None:
        """Close it; another attempt continues, unless it cannot and this is removed."""
        ...


class Store(Protocol):
    """A root that holds entries; every method may be called from any thread.

    Errors are the kinds of `haulage.errors`, sorted here, once.
    """

    def look(
        self, path: bytes, *, anew: bool = True, described: bool = False
    ) -> Seen | None:
        """Return the entry as it is now; None is proof of its absence.

        Without `anew` a directory above it may be one that was replaced since.
        `described` asks for what goes with the entry, too.
        """
        ...

    def copy_within(self, source: "Store", action: Action, row: int) -> Within | None:
        """Have the store's own server or kernel copy; None where it cannot."""
        ...

    def part_within(self, source: "Store", action: Action, row: int) -> Within | None:
        """Copy one part of a split file as above, into what movers share, and prove it.

        MismatchError if it reads back as something else.
        """
        return None

    def publish_within(self, source: "Store", parts: Sequence[Action]) -> Made | None:
        """Give what was copied so its name, if all parts are recorded as proven.

        UnstableError if they are gone, or the source is not what they are of.
        """
        return None

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        """Open a file or object, of `size` and `etag` as it was listed.

        Another version is opened as well, and `seen` says so. VanishedError if it is
        gone; UnstableError if it is no file now.
        """
        ...

    def lists(self, path: bytes) -> bool:
        """Tell whether a listing still has an entry that `look` does not find."""
        ...

    def now(self, path: bytes) -> Now:
        """Return the time by the clock that stamps what is beside `path`."""
        ...

    def is_empty(self) -> bool:
        """Tell whether the root holds no entry, or does not exist."""
        ...

    def write(
        self, path: bytes, row: int, content: bytes | memoryview, seen: Seen
    ) -> Made:
        """Write a small file or object of `content`, with the attributes of `seen`."""
        ...

    def begin(
        self, path: bytes, row: int, seen: Seen, *, shared: bool, prove: bool = False
    ) -> Writing:
        """Start or continue a large one; `shared` by the movers of a split file.

        `prove` has all content read back and compared with the checksums of its ranges:
        each before it is recorded, or, where no part can be read, when it is finished.
        """
        ...

    @property
    def takes_ranges(self) -> bool:
        """Tell whether large entries are made by `begin`; otherwise by `pour`."""
        ...

    def pour(self, path: bytes, chunks: Chunks, seen: Seen) -> Made:
        """Write a large entry from its content, from start to end."""
        ...

    def link(self, path: bytes, row: int, seen: Seen) -> Made:
        """Make or replace a symbolic link to the target of `seen`."""
        ...

    def make_special(self, path: bytes, row: int, seen: Seen) -> Made:
        """Make or replace a FIFO, a socket or a device; only a tree has them."""
        ...

    @property
    def has_directories(self) -> bool:
        """Tell whether directories exist by themselves, as in a tree."""
        ...

    def make_dir(self, path: bytes, row: int) -> Lost | None:
        """Make sure that the directory exists; `finish_dir` sets its attributes.

        Returns what it could not be given, or None.
        """
        ...

    def finish_dir(self, path: bytes, seen: Seen) -> Made | None:
        """Set a directory's final attributes, after everything below it is done.

        None if no object stands for it, neither here nor at the source.
        """
        ...

    def implied(self, path: bytes) -> Seen:
        """Return a directory that only the entries below it imply.

        VanishedError in a store where every directory is an entry.
        """
        ...

    def set_attributes(self, action: Action, seen: Seen) -> Made | None:
        """Set the attributes of `seen` on our entry; None if it is no longer ours."""
        ...

    def join(self, action: Action, row: int) -> Made:
        """Make a separate copy the same file as `action.leader`.

        UnstableError if the leader is not what was made; OSError if no link is
        possible.
        """
        ...

    def settle(self, path: bytes, row: int) -> None:
        """Make sure that a new entry is spelled as in `path`, if names are folded."""
        return

    def differences(self, action: Action, found: Entry) -> list[str]:
        """Return how `found` differs from the entry that `action` made, as texts."""
        ...

    def remove(self, action: Action) -> Outcome:
        """Remove our entry, if it is still as we made it."""
        ...

    def restore(self, action: Action) -> Outcome:
        """Restore an entry that another run moved into the trash of a tree."""
        ...

    def vacate(self, path: bytes) -> None:
        """Remove an entry of another kind to make room for a new one.

        BlockedError if that is a directory with content.
        """
        ...

    def discard(self, path: bytes) -> None:
        """Drop every unfinished large transfer of this entry."""
        ...

    def why_refused(self, path: bytes, err: OSError) -> str | None:
        """Say what of the entry is why it could not be changed, beyond the error."""
        return None

    def close(self) -> None:
        """Close every descriptor and connection."""
        ...
