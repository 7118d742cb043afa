"""What a large transfer has done so far, kept as small files in the run's workspace.

So every mover that works on the same entry knows the same upload, and whoever goes on
after a kill does not send again what arrived.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

from haulage.model import Entry

_ID = "id"


class Done(NamedTuple):
    """One range that was made: its xxh3-128, and its etag where it has one."""

    digest: bytes
    etag: bytes


class Ranges:
    """The record of one entry's transfer; a changed source has a record of its own."""

    def __init__(self, root: Path, path: bytes, entry: Entry) -> None:
        """Name the record below `root`; nothing is written before `claim`."""
        self._path = path
        self._dir = root / f"{_name_of(path)}-{_version_of(entry)}"

    def claim(self, begin: Callable[[], str], drop: Callable[[str], None]) -> str:
        """Return the transfer's id, from `begin` if nobody has begun it.

        Of two that begin at once the one that is later drops its own.
        """
        known = self.id
        if known is not None:
            return known
        self._dir.mkdir(parents=True, exist_ok=True)
        made = begin()
        mine = self._dir / f"{_ID}-{secrets.token_hex(6)}"
        mine.write_bytes(self._path.hex().encode() + b"\n" + made.encode())
        try:
            os.link(mine, self._dir / _ID)
        except FileExistsError:
            drop(made)
        finally:
            mine.unlink()
        claimed = self.id
        assert claimed is not None
        return claimed

    @property
    def id(self) -> str | None:
        """Return the transfer's id, if it was begun."""
        try:
            return _read(self._dir / _ID)[1]
        except FileNotFoundError:
            return None

    def note(self, offset: int, done: Done) -> None:
        """Remember a range; a name holds it all, so that it is there or not."""
        name = f"{offset}-{done.digest.hex()}-{done.etag.hex()}"
        (self._dir / name).touch()

    def done(self) -> dict[int, Done]:
        """Return the ranges that are made, by their offsets."""
        found = {}
        for name in os.listdir(self._dir) if self._dir.exists() else []:
            if not name.startswith(_ID):
                offset, digest, etag = name.split("-")
                found[int(offset)] = Done(bytes.fromhex(digest), bytes.fromhex(etag))
        return found

    def forget(self) -> None:
        """Remove the record; one that somebody else removed is no error."""
        _remove(self._dir)


def begun(root: Path, path: bytes | None = None) -> Iterator[tuple[bytes, str, Path]]:
    """Yield `(path, id, record)` of every transfer below `root`, or of one path."""
    prefix = "" if path is None else _name_of(path)
    for name in sorted(os.listdir(root)) if root.exists() else []:
        if name.startswith(prefix) and (root / name / _ID).exists():
            yield (*_read(root / name / _ID), root / name)


def drop(record: Path) -> None:
    """Remove a record that `begun` told of."""
    _remove(record)


def _read(file: Path) -> tuple[bytes, str]:
    path, _, made = file.read_text().partition("\n")
    return bytes.fromhex(path), made


def _name_of(path: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(path)


def _version_of(entry: Entry) -> str:
    """Return what is another for every version of the source."""
    version = entry._replace(path=b"", nlink=0, target=None)
    return xxhash.xxh3_64_hexdigest(repr(tuple(version)).encode())


def _remove(record: Path) -> None:
    for name in os.listdir(record) if record.exists() else []:
        (record / name).unlink(missing_ok=True)
    if record.exists():
        record.rmdir()
