"""What a mover works with while it goes through a shard."""

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from haulage.config.striping import NO_RULES, Rules
from haulage.errors import CancelledError, VanishedError
from haulage.model import Action
from haulage.storage.store import Now
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import stat_in
from haulage.storage.tree.metadata.preserve import Preserved

_PROOFS = 1024
SMALL_BYTES = 1 << 20  # up to here a file is read in one call
_SECOND_NS = 1_000_000_000
_RACY_NS = 2_000_000_000  # clocks of file systems tick as coarsely as this


class Proofs:
    """What files with more names than one were read to be; the last ones of a shard."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._read: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()

    def of(self, found: os.stat_result) -> bytes | None:
        """Return the checksum of a file that was read before, and is the same still."""
        return self._read.get(_version(found))

    def note(self, found: os.stat_result, checksum: bytes) -> None:
        """Keep the checksum in mind if another name may ask for it."""
        if found.st_nlink > 1:
            self._read[_version(found)] = checksum
            if len(self._read) > _PROOFS:
                self._read.popitem(last=False)


def _version(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_dev, found.st_ino, found.st_ctime_ns


@dataclass(slots=True)
class Work:
    """Both roots, how temporaries are named, and the buffer that copies go through.

    `hashing` tells that content must pass through us, for its checksum; otherwise the
    kernel may copy it. `cancelled` is asked between entries and inside long copies.
    `heirs` tells that entries made in the directory `heirs_in` inherit an ACL.
    """

    source: Descent
    target: Descent
    temp_prefix: bytes  # with the attempt's token; a row's number follows
    split_prefix: bytes  # with the run's token, for files whose parts movers share
    hashing: bool
    verifies_content: bool
    fsync: bool
    cancelled: Callable[[], bool]
    trash: bytes | None = None  # where deletes go, if they are not final
    moved: int = 0
    can_clone: bool = True
    kept: Preserved = field(default_factory=Preserved)
    rules: Rules = NO_RULES  # for layouts on a Lustre
    proofs: Proofs = field(default_factory=Proofs)
    heirs_in: bytes | None = None
    heirs: bool = False
    buffer: memoryview = field(
        default_factory=lambda: memoryview(bytearray(SMALL_BYTES + 4096))
    )

    def check_cancelled(self) -> None:
        """Raise CancelledError when nothing more may be done for this attempt.

        Asked right before a change of the target as well: an attempt that was replaced
        would undo what a later one did.
        """
        if self.cancelled():
            raise CancelledError("stopped on request")


def look_again(work: Work, path: bytes) -> os.stat_result:
    """Return what the source has now; VanishedError if that is nothing.

    It is walked anew: a descriptor kept from before might show a directory that has
    been replaced.
    """
    work.source.forget()
    found = stat_in(work.source, path)
    if found is None:
        raise VanishedError("is gone since it was listed")
    return found


def is_racy(mtime_ns: int, ctime_ns: int, now: Now) -> bool:
    """Tell whether a later change could look the same, so young was the file.

    `now` is the time by its file system's clock, before the file was looked at.
    """
    young_ns = now.earliest_ns - _racy_ns(mtime_ns)
    # What lies far ahead stays there.
    is_now = young_ns < mtime_ns < now.latest_ns + _racy_ns(mtime_ns)
    return is_now or ctime_ns > now.earliest_ns - _racy_ns(ctime_ns)


def _racy_ns(stamp_ns: int) -> int:
    """Return for how long a stamp could be that of another change, too.

    Some file systems keep whole seconds, or even ones alone.
    """
    return _RACY_NS if stamp_ns % _SECOND_NS else 2 * _RACY_NS


def is_as_listed(action: Action, found: os.stat_result) -> bool:
    """Tell whether the source is still as listed; ctime moves with any attribute."""
    return (
        found.st_ino == action.ino
        and found.st_size == action.size
        and found.st_mtime_ns == action.mtime_since_epoch_ns
        and found.st_ctime_ns == action.ctime_since_epoch_ns
    )
