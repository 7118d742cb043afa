"""The mark in a target that names the run which worked on it last."""

import json
from dataclasses import dataclass

from haulage.errors import FatalError, PermanentError, TransientError
from haulage.run.context.endpoints import Pair
from haulage.storage.buckets.protocol import PutBy
from haulage.storage.tree.filesystem.mountpoints import mount_points
from haulage.storage.tree.mark_file import name_of_mark, read_mark, write_mark

_ERRORS = (OSError, FatalError, PermanentError, TransientError)


@dataclass(frozen=True, slots=True)
class Mark:
    """The content of a target's mark.

    `run` works on the target, or was the last run that did; if it committed nothing,
    the target is as the run `before` left it, as far as known. `mounts` are the mount
    points below its root.
    """

    run: str
    before: str | None = None
    mounts: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, pair: Pair, dataset: str) -> "Mark | None":
        """Return a dataset's mark; None if there is no readable one."""
        try:
            fields = json.loads(_read(pair, dataset) or b"")
            mounts = tuple(bytes.fromhex(path) for path in fields["mounts"])
            return cls(str(fields["run"]), fields["before"], mounts)
        except (*_ERRORS, ValueError, TypeError, KeyError):
            return None

    def write(self, pair: Pair, dataset: str, *, fsync: bool) -> str | None:
        """Write it as the dataset's mark; return why that failed, or None."""
        fields = {
            "what": f"how Haulage recognises the target of {dataset}; leave it alone",
            "run": self.run,
            "before": self.before,
            "mounts": [path.hex() for path in self.mounts],
        }
        content = json.dumps(fields).encode()
        target = pair.target
        try:
            if target.is_bucket:
                key = target.prefix + name_of_mark(dataset)
                pair.bucket(target).put(key, content, PutBy({}))
            else:
                write_mark(target.url, dataset, content, fsync=fsync)
        except _ERRORS as err:
            return str(err)
        return None


def _read(pair: Pair, dataset: str) -> bytes | None:
    target = pair.target
    if not target.is_bucket:
        return read_mark(target.url, dataset)
    return bytes(pair.bucket(target).get(target.prefix + name_of_mark(dataset))[1])


def mounts_of(pair: Pair) -> tuple[bytes, ...]:
    """Return the mount points below the target's root."""
    return () if pair.target.is_bucket else mount_points(pair.target.url)
