"""The values that all layers share, and their Arrow columns.

Paths are bytes, relative to a store's root; a directory's path ends in `/`, the root's
is empty, and everything is kept in plain byte order of these paths. Times are seconds
and nanoseconds apart, because a 64-bit count of nanoseconds ends in 2262.
"""

from enum import IntEnum, IntFlag, StrEnum
from typing import Any, NamedTuple, cast

import pyarrow as pa


class Kind(IntEnum):
    """The type of an entry."""

    FILE = 1
    DIR = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5
    CHAR = 6
    BLOCK = 7


SPECIALS = (Kind.FIFO, Kind.SOCKET)
DEVICES = (Kind.CHAR, Kind.BLOCK)


class Verb(IntEnum):
    """The operation of a mover for one row of a shard."""

    COPY = 1  # content and attributes, through a temporary name
    CHECK = 2  # copy only if the content differs from the known checksum
    META = 3  # attributes only
    LINK = 4  # make or replace a symbolic link
    MKDIR = 5  # make sure that the directory is there, open for its owner
    PART = 6  # one byte range of a split file, into the file's shared temporary
    PUBLISH = 7  # give a completed split file its attributes and its final name
    VERIFY = 8  # re-read the target
    DELETE = 9  # remove what the manifest says that we made
    DIR = 10  # final attributes of a directory
    SWEEP = 11  # remove the temporary of a split file that was never published
    HARD = 12  # make a hard link to another entry of the target, its `leader`
    RESTORE = 13  # bring back what DELETE moved aside
    SPECIAL = 14  # make or replace a FIFO, a socket or a device
    REPLACE = 15  # COPY, LINK or MKDIR where a bucket has the name in its other form


class Status(IntEnum):
    """The status of one row after an attempt."""

    COPIED = 1
    MADE = 2
    UPDATED = 3
    UNCHANGED = 4
    VERIFIED = 5
    DELETED = 6
    ABSENT = 7  # to be deleted, but already gone
    KEPT = 8  # to be deleted, but a guard said no
    FAILED = 9
    UNSTABLE = 10  # the source moved under the copy
    VANISHED = 11  # the source was gone when its turn came
    BLOCKED = 12  # a directory with content stands at the target's name
    PART = 13  # a byte range arrived; the file is not published yet
    MISMATCH = 14  # verification read other bytes or attributes than were sent
    RESTORED = 15  # brought back from the trash
    REPLACED = 16  # to be deleted, but another kind has got its name already


class Verified(IntEnum):
    """How far the target's entry was verified."""

    NONE = 0
    METADATA = 1
    CHECKSUM = 2


class Pass(StrEnum):
    """A pass of a run, with one purpose."""

    COPY = "copy"
    PUBLISH = "publish"
    VERIFY = "verify"
    LINKS = "links"
    DELETE = "delete"
    DIRS = "dirs"


class Preserve(StrEnum):
    """What is preserved of an entry, by the name in `--preserve`."""

    MODE = "mode"
    OWNER = "owner"
    TIMES = "times"
    XATTRS = "xattrs"
    ACLS = "acls"
    LINKS = "links"
    SPARSE = "sparse"
    SPECIALS = "specials"  # FIFOs and sockets
    DEVICES = "devices"


PRESERVED = tuple(
    name for name in Preserve if name not in (Preserve.SPECIALS, Preserve.DEVICES)
)


class Entry(NamedTuple):
    """One listed path. A named tuple, because millions are made and unpacked."""

    path: bytes
    kind: int
    mode: int  # permission bits, set-id and sticky included
    uid: int
    gid: int
    size: int
    mtime_s: int
    mtime_ns: int
    ctime_s: int
    ctime_ns: int
    dev: int
    ino: int
    nlink: int
    target: bytes | None  # of a symbolic link; of a device, `major:minor`
    etag: bytes | None = None  # what the store says of an object's version


ENTRY = pa.schema(
    [
        pa.field("path", pa.binary(), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("mode", pa.uint16(), nullable=False),
        pa.field("uid", pa.uint32(), nullable=False),
        pa.field("gid", pa.uint32(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("mtime_s", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.uint32(), nullable=False),
        pa.field("ctime_s", pa.int64(), nullable=False),
        pa.field("ctime_ns", pa.uint32(), nullable=False),
        pa.field("dev", pa.uint64(), nullable=False),
        pa.field("ino", pa.uint64(), nullable=False),
        pa.field("nlink", pa.uint32(), nullable=False),
        pa.field("target", pa.binary()),
        pa.field("etag", pa.binary()),
    ]
)

SELECTED = "selected"  # a bool column beside ENTRY, where filters are at work

_PROOF = [
    pa.field("checksum", pa.binary(16)),  # xxh3-128 of the content
    pa.field("verified", pa.uint8(), nullable=False),
    pa.field("racy", pa.bool_(), nullable=False),
    pa.field("made", pa.binary()),  # etag or `mtime_mark` of the target as we made it
]

# What a manifest page holds: the source's entry as it was when the target's was made.
MANIFEST = pa.schema([*ENTRY, *_PROOF])

# What a mover is given. `was_mtime_*` is what the target is believed to carry now;
# `offset` and `length` bound a part. `shared` says how many of the target's names for
# this file are to stay together: one with more names is never changed in place. With
# more than are `leaving` beside (gone at the source), it is not even left as it is.
# `leader` is the path of another name of the same file, which has or gets its content.
ACTION = pa.schema(
    [
        pa.field("verb", pa.uint8(), nullable=False),
        *MANIFEST,
        pa.field("was_mtime_s", pa.int64(), nullable=False),
        pa.field("was_mtime_ns", pa.uint32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("shared", pa.uint32(), nullable=False),
        pa.field("leaving", pa.uint32(), nullable=False),
        pa.field("leader", pa.binary()),
    ]
)

# What a mover gives back, one row for each of its actions, in the same order.
OUTCOME = pa.schema(
    [
        pa.field("verb", pa.uint8(), nullable=False),
        pa.field("status", pa.uint8(), nullable=False),
        *MANIFEST,
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("moved", pa.int64(), nullable=False),  # bytes
        pa.field("errno", pa.int32(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)


ANY_NAMES = 2**32 - 1  # as `leaving`: of a file that never had a name of ours beside


class Action(NamedTuple):
    """One row of a shard: a verb, the source's entry, what is known of the target."""

    verb: int
    path: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_s: int
    mtime_ns: int
    ctime_s: int
    ctime_ns: int
    dev: int
    ino: int
    nlink: int
    target: bytes | None
    etag: bytes | None
    checksum: bytes | None
    verified: int
    racy: bool
    made: bytes | None
    was_mtime_s: int
    was_mtime_ns: int
    offset: int
    length: int
    shared: int = 1
    leaving: int = ANY_NAMES
    leader: bytes | None = None

    @property
    def entry(self) -> Entry:
        """Return the source's entry."""
        return Entry(*cast("tuple[Any, ...]", self[1 : 1 + len(Entry._fields)]))

    @property
    def mtime_since_epoch_ns(self) -> int:
        """Return the mtime in nanoseconds, as system calls take it."""
        return self.mtime_s * 1_000_000_000 + self.mtime_ns

    @property
    def ctime_since_epoch_ns(self) -> int:
        """Return the ctime in nanoseconds."""
        return self.ctime_s * 1_000_000_000 + self.ctime_ns

    def mtime_at_target_ns(self, otherwise_ns: int) -> int:
        """Return the mtime of the target's entry, if it has one of its own."""
        if self.made is None or self.etag_at_target is not None:
            return otherwise_ns
        return int(self.made[len(_MTIME) :])

    def with_mtime_at_target(self) -> "Action":
        """Return the action with the mtime that the target's entry must have."""
        whole_ns = self.mtime_at_target_ns(self.mtime_since_epoch_ns)
        mtime_s, mtime_ns = divmod(whole_ns, 1_000_000_000)
        return self._replace(mtime_s=mtime_s, mtime_ns=mtime_ns)

    @property
    def etag_at_target(self) -> bytes | None:
        """Return the version of the target's object, or None if it is no object."""
        is_mark = self.made is not None and self.made.startswith(_MTIME)
        return None if is_mark else self.made


_MTIME = b"mtime "


def mtime_mark(mtime_ns: int) -> bytes:
    """Return the bytes by which a target's file is recognised as ours later.

    They are needed where the target's times are not the source's: because times are not
    preserved, or because the file system cannot hold that time.
    """
    return b"%s%d" % (_MTIME, mtime_ns)


def mtime_made(made: bytes | None) -> tuple[int, int] | None:
    """Return the seconds and nanoseconds of a `mtime_mark`; None for an etag."""
    if made is None or not made.startswith(_MTIME):
        return None
    return divmod(int(made[len(_MTIME) :]), 1_000_000_000)


class Loss(IntFlag):
    """An attribute of the source that a made entry lacks."""

    OWNER = 1
    XATTR = 2
    ACL = 4
    CAPABILITY = 8
    MARKER = 16  # a directory's attributes, where a bucket has no object for it
    FLAGS = 32  # immutable or append-only
    LINK = 64  # that it is the same file as others
    TIME = 128
    LAYOUT = 256  # stripes, pool or MDT on a Lustre
    UNTRUSTED = 512  # what a bucket's metadata asks for, and anybody could have written
    MODE = 1024  # of what another user owns


class Lost(NamedTuple):
    """The attributes that an entry lacks, and why."""

    kinds: Loss
    words: str


class Outcome(NamedTuple):
    """The outcome of one action; `entry` is set if the source was not as listed.

    `lost` belongs to an entry that was made nevertheless; `reason` to any other.
    """

    status: Status
    checksum: bytes | None = None
    verified: Verified = Verified.NONE
    racy: bool = False
    moved: int = 0
    errno: int = 0
    reason: str | None = None
    entry: Entry | None = None
    made: bytes | None = None
    lost: Lost | None = None
    read: int | None = None  # bytes that were compared, of both ends; not recorded
