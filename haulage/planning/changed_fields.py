"""The fields in which a listed entry differs from the known one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.model import DEVICES, Kind
from haulage.planning.columns import is_file, is_linked
from haulage.planning.listing.colliding_names import Spellings
from haulage.planning.listing.mounts import Mounts
from haulage.planning.path_ranges import NO_SPANS, Spans


class Field(IntFlag):
    """A field in which a listed entry differs from the known one."""

    NOTHING = 0
    KIND = 1
    SIZE = 2
    TIME = 4
    INODE = 8
    CTIME = 16
    ACCESS = 32  # mode, owner, group
    TARGET = 64  # of a symbolic link; the number of a device
    RACY = 128  # was too young when recorded, in doubt, or not joined with its group
    UNPROVEN = 256  # is verified less than the policy wants
    ADOPTED = 512  # was found in the target, not recorded by a run
    ASKED = 1024  # is to be looked at, whatever else is known of it
    ETAG = 2048  # of an object: another version


@dataclass(frozen=True, slots=True)
class Against:
    """What a listing is compared with.

    `adopted`: `known` is a listing of the target, whose ctime and inode mean nothing at
    the source. `versioned`: the source's entries are objects, listed with etag, size
    and time of change only. `covers` tells for gone rows whether the filters still
    include them. Rows that are `asked` for count as changed. With `links`, files with
    several names are kept apart; with `joins`, objects that stand for one file are
    combined.
    """

    known: Iterable[pa.Table]
    covers: Callable[[pa.Table], np.ndarray]
    proof: int = 0
    adopted: bool = False
    versioned: bool = False
    asked: tuple[Kind, ...] = ()
    asked_links: bool = False  # of what has more names than one
    asked_paths: Spans = NO_SPANS
    links: bool = False
    joins: bool = False
    mounts: Mounts | None = None  # what watches for those that are away
    spellings: Spellings | None = None  # what refuses names that the target folds


_Found = list[tuple[Field, np.ndarray]]
_Differ = Callable[..., np.ndarray]


def changed_fields(now: pa.Table, was: pa.Table, against: Against) -> np.ndarray:
    """Return, row by row, the fields in which `now` differs from `was`."""

    def differ(*names: str) -> np.ndarray:
        unequal: np.ndarray = np.logical_or.reduce(
            [now[name].to_numpy() != was[name].to_numpy() for name in names]
        )
        return unequal

    kind = now["kind"].to_numpy()
    found = [
        (Field.SIZE, differ("size") & is_file(now)),
        (Field.UNPROVEN, _is_unproven(was, against.proof) & is_file(now)),
    ]
    if against.versioned:
        found += _of_objects(now, was, against, differ)
    else:
        found += _of_files(now, was, against, differ)
    found += [(Field.ASKED, asked) for asked in _asked(now, against)]
    if against.adopted:
        found.append((Field.ADOPTED, np.ones(len(kind), np.bool_)))
    fields = np.zeros(len(kind), np.uint16)
    for field, mask in found:
        fields[mask] |= np.uint16(field)
    return fields


def _asked(now: pa.Table, against: Against) -> Iterator[np.ndarray]:
    if against.asked:
        yield np.isin(now["kind"].to_numpy(), against.asked)
    if against.asked_links:
        yield is_linked(now)
    if against.asked_paths.starts:
        yield against.asked_paths.within(now["path"])


def _is_unproven(was: pa.Table, proof: int) -> np.ndarray:
    """Tell for which files it is true; a listed file may be a link's object."""
    unproven: np.ndarray = (was["verified"].to_numpy() < proof) & is_file(was)
    return unproven


def _of_files(
    now: pa.Table, was: pa.Table, against: Against, differ: _Differ
) -> _Found:
    kind = now["kind"].to_numpy()
    is_link = kind == Kind.SYMLINK
    has_target = np.isin(kind, (Kind.SYMLINK, *DEVICES))
    found = [
        (Field.KIND, differ("kind")),
        (Field.TIME, differ("mtime_s", "mtime_ns")),
        (Field.ACCESS, (differ("mode") & ~is_link) | differ("uid", "gid")),
        (Field.RACY, was["racy"].to_numpy()),
    ]
    if has_target.any():
        found.append((Field.TARGET, _unequal(now["target"], was["target"])))
    if not against.adopted:
        found.append((Field.INODE, differ("ino") & is_file(now)))
        found.append((Field.CTIME, differ("ctime_s", "ctime_ns")))
    return found


def _of_objects(
    now: pa.Table, was: pa.Table, against: Against, differ: _Differ
) -> _Found:
    """Compare versions; an entry found in a directory has none, so all may differ."""
    other = _unequal(now["etag"], was["etag"])
    if not against.adopted:
        apart = was["racy"].to_numpy() & against.joins
        changed = differ("ctime_s", "ctime_ns")
        return [(Field.ETAG, other), (Field.CTIME, changed), (Field.RACY, apart)]
    versioned = was["etag"].is_valid().to_numpy()
    return [(Field.ETAG, other & versioned), (Field.TIME, ~versioned)]


def _unequal(now: pa.ChunkedArray, was: pa.ChunkedArray) -> np.ndarray:
    unequal = pc.not_equal(pc.fill_null(now, b""), pc.fill_null(was, b""))
    differ: np.ndarray = unequal.to_numpy().astype(np.bool_)
    return differ
