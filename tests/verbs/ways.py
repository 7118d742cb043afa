"""A directory and a bucket, or a bucket and a directory, with an attempt between."""

import os
from dataclasses import dataclass
from typing import Any

from haulage.model import Action, Entry, Kind, Outcome
from haulage.storage.store import Extent, Seen
from haulage.verbs.attempt.attempt import Attempt
from tests.engine_builders import entry
from tests.stores import Shelf


@dataclass
class Way:
    """The two ends as they are, and the attempt between them."""

    source: Shelf
    target: Shelf
    attempt: Attempt

    def put(self, path: bytes, content: bytes = b"content", **fields: Any) -> Seen:
        """Make a file or an object of the source; return what it is like."""
        values = {"size": len(content), "uid": os.geteuid(), "gid": os.getegid()}
        seen = Seen(entry(path, **(values | fields)))
        if path.endswith(b"/"):
            self.attempt.source.make_dir(path, 0)
            self.attempt.source.finish_dir(path, seen)
        elif seen.entry.kind == Kind.SYMLINK:
            self.attempt.source.link(path, 0, seen)
        else:
            self.attempt.source.write(path, 0, content, seen)
        return self.look(path)

    def look(self, path: bytes) -> Seen:
        """Return the source's entry."""
        seen = self.attempt.source.look(path)
        assert seen is not None
        return seen

    def listed(self, path: bytes, **fields: Any) -> Action:
        """Return the action for what the source has now, as a listing tells of it."""
        seen = self.look(path).entry
        if seen.etag is not None and seen.kind == Kind.SYMLINK:
            seen = seen._replace(kind=Kind.FILE, target=None)
        return action_of(seen, **fields)

    def known(self, path: bytes, outcome: Outcome, **fields: Any) -> Action:
        """Return the action for an entry that was copied with `outcome`."""
        was = outcome.entry or self.look(path).entry
        proof: dict[str, Any] = {"made": outcome.made, "checksum": outcome.checksum}
        proof |= {"was_mtime_s": was.mtime_s, "was_mtime_ns": was.mtime_ns}
        return self.listed(path, **(proof | fields))

    def arrived(self, path: bytes) -> Entry:
        """Return the target's entry."""
        seen = self.attempt.target.look(path)
        assert seen is not None
        return seen.entry

    def content(self, path: bytes) -> bytes:
        """Return the content of the target's entry."""
        size = self.arrived(path).size
        with self.attempt.target.open(path, size) as reading:
            return bytes(reading.read(Extent(0, size)))


def action_of(listed: Entry, **fields: Any) -> Action:
    """Return the action for an entry."""
    values: dict[str, Any] = listed._asdict()
    values |= {"verb": 0, "checksum": None, "verified": 0, "racy": False, "made": None}
    values |= {"was_mtime_s": 0, "was_mtime_ns": 0, "offset": 0, "length": listed.size}
    return Action(**(values | fields))
