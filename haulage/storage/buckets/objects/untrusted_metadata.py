"""Objects with untrusted metadata, as the source of a directory.

Anyone who may put an object can write all the metadata that Haulage writes. Whatever
would give them rights where it is restored is not taken over, and reported as lost:
set-id bits, owners other than this process, and links that lead out of the target.
"""

import os
import stat

from haulage.model import Entry, Kind, Loss, Lost
from haulage.storage.buckets.objects.store import Objects
from haulage.storage.store import Reading, Seen

_SET_ID = stat.S_ISUID | stat.S_ISGID
_MODE_OF_A_FILE = 0o644


class DoubtedObjects(Objects):
    """A bucket's prefix as a source from which only harmless metadata is taken."""

    def look(
        self, path: bytes, *, anew: bool = True, described: bool = False
    ) -> Seen | None:
        seen = super().look(path, anew=anew, described=described)
        return seen and harmless(seen)

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        reading = super().open(path, size, etag)
        reading.seen = harmless(reading.seen)
        return reading


def harmless(seen: Seen) -> Seen:
    """Return what is taken over of an object, and what is lost by that.

    A link that leads outside becomes a file with its target: nothing follows it.
    """
    entry, refused = seen.entry, list[str]()
    if entry.kind == Kind.SYMLINK and leads_outside(entry):
        refused.append("that it is a link, which leads outside of the target")
        entry = entry._replace(kind=Kind.FILE, mode=_MODE_OF_A_FILE, target=None)
    if entry.mode & _SET_ID:
        refused.append(f"its set-id bits, mode {entry.mode:o}")
        entry = entry._replace(mode=entry.mode & ~_SET_ID)
    mine = (os.geteuid(), os.getegid())
    if (entry.uid, entry.gid) != mine:
        refused.append(f"its owner {entry.uid}:{entry.gid}")
        entry = entry._replace(uid=mine[0], gid=mine[1])
    if not refused:
        return seen
    words = (
        f"not taken over from the bucket's metadata: {'; '.join(refused)}. If nobody "
        f"else may write there: --trust-metadata"
    )
    return seen._replace(entry=entry, unkept=Lost(Loss.UNTRUSTED, words))


def leads_outside(entry: Entry) -> bool:
    """Tell whether a link may lead above the root at which its path begins.

    After a name, which may be a link itself, `..` leads anywhere.
    """
    target = entry.target or b""
    steps = [step for step in target.split(b"/") if step not in (b"", b".")]
    above = 0
    while above < len(steps) and steps[above] == b"..":
        above += 1
    return (
        target.startswith(b"/")
        or b".." in steps[above:]
        or above > entry.path.count(b"/")
    )
