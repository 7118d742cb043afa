"""What every store promises: to look, to read, and to make entries whole or not at all.

A directory is a store (`tree`), a bucket's prefix is one (`objects`). What moves bytes
between two of them knows no more than this.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from haulage.model import Action, Entry, Lost, Outcome
from haulage.storage.resumable import Done


@dataclass(frozen=True, slots=True)
class Carried:
    """What only objects have, and what goes from bucket to bucket with the bytes."""

    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # Cache-Control and such
    metadata: Mapping[str, str] = field(default_factory=dict)  # the user's own
    tags: tuple[tuple[str, str], ...] = ()


NOTHING_CARRIED = Carried()


class Now(NamedTuple):
    """The time by a store's clock, which it has reached but has not passed."""

    earliest_ns: int
    latest_ns: int


class Seen(NamedTuple):
    """An entry as it is now, what an object carries beside it, what none can hold."""

    entry: Entry
    carried: Carried = NOTHING_CARRIED
    unkept: Lost | None = None


class Made(NamedTuple):
    """What became of an entry that was made.

    `etag` is the target's own, where it has one; of a file that could not have its
    source's time it is a `mtime_mark`. `lost` says what the store could not keep;
    `proven` tells that what arrived is what was sent.
    """

    etag: bytes | None = None
    lost: Lost | None = None
    proven: bool = False
    changed: bool = True  # False: it was like that already
    checksum: bytes | None = (
        None  # xxh3-128 of what was read back, where that was asked
    )


def is_implied(entry: Entry) -> bool:
    """Tell whether nothing stands for a directory: no inode and no object."""
    return not entry.nlink and entry.etag is None


class Extent(NamedTuple):
    """A byte range of one file or object."""

    offset: int
    length: int


Chunks = Iterator[bytes | memoryview]


class Sums:
    """Holds what came of a large entry against its store's own sum; here there is none.

    Ranges may come to several processes: what `of` says of each is kept for `check`.
    """

    def of(self, extent: Extent, content: bytes | memoryview) -> bytes:
        """Return what has to be known of a range; from any thread."""
        return b""

    def follow(self, extent: Extent, content: bytes | memoryview) -> None:
        """Take a range of what is read from its begin to its end."""

    def check(self, known: Mapping[int, bytes]) -> None:
        """Raise MismatchError if all ranges, by their offsets, are not the whole."""


class Reading(Protocol):
    """A source's file or object, open; use as a context manager."""

    seen: Seen

    def read(self, extent: Extent) -> bytes | memoryview:
        """Return exactly the range; UnstableError if there is less, or another version.

        May be called from any thread.
        """
        ...

    def forget_cached(self) -> None:
        """Have the next reads come from the store itself, not from a cache."""
        ...

    def digest(self) -> bytes | None:
        """Return the xxh3-128 of all; None where ranges are read for it instead."""
        return None

    @property
    def has_huge_holes(self) -> bool:
        """Tell whether hashing it all would take long and prove little."""
        return False

    def has_same_data(self, other: "Reading") -> bool:
        """Tell whether another of the same kind is equal, reading no holes."""
        ...

    def confirm(self) -> None:
        """Raise UnstableError if the source moved since it was opened."""
        ...

    @property
    def sums(self) -> Sums:
        """Return what proves a large one that is read in ranges, the same each time."""
        return Sums()

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def nothing() -> None:
    """Have nothing to say against a name."""


class Writing(Protocol):
    """A large file or object that is made range by range, by one mover or by several.

    Ranges are aligned to `place.part_bytes` of the whole size, and may come in any
    order, from any thread, twice. What another attempt has finished is in `done`.
    """

    done: Mapping[int, Done]  # by the offset of the range

    def write(self, offset: int, content: bytes | memoryview, done: Done) -> None:
        """Make one range, and remember that it is `done`, but for its etag here."""
        ...

    def finish(
        self, seen: Seen, *, prove: bool, confirm: Callable[[], None] = nothing
    ) -> Made:
        """Give the whole its attributes and its name; every range must be made.

        `prove` reads back what arrived and holds it against each range's checksum;
        MismatchError if one differs, UnstableError if one is missing. `confirm` is
        called right before the name is given; it may raise what is to prevent that.
        What is proven wrong is removed; who is only stopped leaves the ranges.
        """
        ...

    def abandon(self) -> None:
        """Remove what was made so far."""
        ...

    def leave(self) -> None:
        """Let go of it; another attempt goes on, or what cannot go on is removed."""
        ...


class Store(Protocol):
    """A root that holds entries; every method may be called from any thread.

    Errors are the kinds of `haulage.errors`, sorted here, once.
    """

    def look(self, path: bytes, *, anew: bool = True) -> Seen | None:
        """Return the entry as it is now; None is proof of its absence.

        Without `anew` a directory above it may be one that was replaced since.
        """
        ...

    def copy_within(self, source: "Store", action: Action) -> tuple[Seen, Made] | None:
        """Have the store's own server copy from `source`; None where it cannot."""
        ...

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        """Open what is read like a file, of `size` and `etag` as it was listed.

        Another version is opened as well, and says so in `seen`. VanishedError if it is
        gone; UnstableError if it is no file now.
        """
        ...

    def lists(self, path: bytes) -> bool:
        """Tell whether a listing still has an entry that `look` does not find."""
        ...

    def now(self) -> Now:
        """Return the time by the clock that stamps the store's entries."""
        ...

    def is_empty(self) -> bool:
        """Tell whether the root holds no entry, or is not there at all."""
        ...

    def write(
        self, path: bytes, row: int, content: bytes | memoryview, seen: Seen
    ) -> Made:
        """Make a whole small file or object of `content`, like `seen` in all else."""
        ...

    def begin(self, path: bytes, row: int, seen: Seen, *, shared: bool) -> Writing:
        """Begin or go on with a large one; `shared` by the movers of a split file."""
        ...

    @property
    def takes_ranges(self) -> bool:
        """Tell whether a large entry is made by `begin`; otherwise `pour` makes it."""
        ...

    def pour(self, path: bytes, chunks: Chunks, seen: Seen) -> Made:
        """Make a large entry of its content from begin to end."""
        ...

    def link(self, path: bytes, row: int, entry: Entry) -> Made:
        """Make or replace a symbolic link to `entry.target`."""
        ...

    @property
    def has_directories(self) -> bool:
        """Tell whether directories are there by themselves, as in a tree."""
        ...

    def make_dir(self, path: bytes, row: int) -> Lost | None:
        """Make sure that the directory is there; `finish_dir` gives its attributes.

        Returned is what it could not be made with.
        """
        ...

    def finish_dir(self, path: bytes, seen: Seen) -> Made | None:
        """Give a directory its final attributes, after all that happened below it.

        None where nothing stands for it, here as at the source.
        """
        ...

    def implied(self, path: bytes) -> Seen:
        """Return what a directory is like that only the entries below it imply.

        VanishedError in a store where every directory is an entry.
        """
        ...

    def set_attributes(self, action: Action, seen: Seen) -> Made | None:
        """Give what we made before the attributes of `seen`; None if it is not that."""
        ...

    def join(self, action: Action, row: int) -> Made:
        """Make what was copied by itself the same file as `action.leader`.

        UnstableError if that is not what was made; OSError where no link can be.
        """
        ...

    def settle(self, path: bytes, row: int) -> None:
        """See that what was made is spelt so; mostly, no spelling is another's name."""
        return

    def differences(self, action: Action, found: Entry) -> list[str]:
        """Return in words in what `found` is not what `action` says was made."""
        ...

    def remove(self, action: Action) -> Outcome:
        """Remove what we made, if it still is what we made."""
        ...

    def restore(self, action: Action) -> Outcome:
        """Bring back what another run moved aside; only a tree has a trash."""
        ...

    def vacate(self, path: bytes) -> None:
        """Remove what stands where an entry of another kind is to be.

        BlockedError if that is a directory with content.
        """
        ...

    def discard(self, path: bytes) -> None:
        """Drop every large transfer of this entry that was begun and not finished."""
        ...

    def why_refused(self, path: bytes, err: OSError) -> str | None:
        """Say what of the entry is why it could not be changed, beyond the error."""
        return None

    def close(self) -> None:
        """Let go of every descriptor and connection."""
        ...
