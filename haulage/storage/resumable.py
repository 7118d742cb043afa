"""Records of large transfers, kept as small files in the run's workspace.

With them every mover of the same entry uses the same upload, and a resumed run does not
send again what arrived.
"""

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import xxhash

from haulage.errors import UnstableError
from haulage.model import Entry
from haulage.private import make_directory, make_file
from haulage.storage.checksums import of_ranges

_ID = "id"
_DIGEST_BYTES = 16
_GONE = "gone-"  # what is being removed
_DROPPED = "its transfer was dropped meanwhile; it starts over"


class Done(NamedTuple):
    """One range that was written: its xxh3-128, and its etag if it has one.

    Of what the kernel copied the former is empty: nobody has read it. `summed` is the
    result of the source's `Sums`, `crc` the CRC64NVME of a part that was sent, from
    which the target's server can compute the whole's.
    """

    digest: bytes
    etag: bytes = b""
    summed: bytes = b""
    crc: bytes = b""


def checksum_of(done: Mapping[int, Done]) -> bytes | None:
    """Return the checksum of the whole from all its ranges; None if one has none."""
    digests = [done[start].digest for start in sorted(done)]
    return of_ranges(digests) if all(digests) else None


class Ranges:
    """The record of one entry's transfer; a changed source has a new record."""

    def __init__(self, root: Path, path: bytes, entry: Entry) -> None:
        """Set the record's name below `root`; nothing is written before `claim`."""
        self._path = path
        self._dir = root / f"{_name_of(path)}-{_version_of(entry)}"
        self._claimed: str | None = None

    def claim(self, begin: Callable[[], str], drop: Callable[[str], None]) -> str:
        """Return the transfer's id, from `begin` if none was started.

        Of two that start at once the later one drops its own.
        """
        self._claimed = self.id or self._begin(begin, drop)
        return self._claimed

    def _begin(self, begin: Callable[[], str], drop: Callable[[str], None]) -> str:
        make_directory(self._dir)
        made = begin()
        mine = self._dir / f"{_ID}-{secrets.token_hex(6)}"
        try:
            make_file(mine)
            mine.write_bytes(self._path.hex().encode() + b"\n" + made.encode())
            os.link(mine, self._dir / _ID)
        except OSError as err:
            drop(made)
            if not isinstance(err, FileExistsError | FileNotFoundError):
                raise
        finally:
            mine.unlink(missing_ok=True)
        claimed = self.id
        if claimed is None:
            raise UnstableError(_DROPPED)
        return claimed

    @property
    def id(self) -> str | None:
        """Return the transfer's id, if it was started."""
        try:
            return _read(self._dir / _ID)[1]
        except FileNotFoundError:
            return None

    def note(self, offset: int, done: Done) -> None:
        """Record a range of the claimed transfer; UnstableError if that was dropped.

        A file name holds all of it, so that it exists or not.
        """
        name = "-".join([str(offset), *(each.hex() for each in done), self._mark])
        try:
            (self._dir / name).touch()
        except (FileNotFoundError, PermissionError) as err:
            # Overlay file systems say the latter of a directory that is being removed.
            raise UnstableError(_DROPPED) from err

    def note_all(self, offset: int, step: int, digests: Sequence[bytes]) -> None:
        """Record ranges that follow one another, each of `step` bytes but the last.

        One file has them all: there may be thousands in a part that a mover copies.
        """
        content = b"".join(digests)
        name = f"{offset}-{step}-{len(digests)}-{self._mark}"
        unfinished = self._dir / f"{_ID}-{secrets.token_hex(6)}"
        try:
            unfinished.write_bytes(content + xxhash.xxh3_128_digest(content))
            os.rename(unfinished, self._dir / name)
        except (FileNotFoundError, PermissionError) as err:  # as in `note`
            raise UnstableError(_DROPPED) from err

    @property
    def _mark(self) -> str:
        """Return what tells this transfer's notes from those of a dropped one."""
        assert self._claimed is not None
        return xxhash.xxh3_64_hexdigest(self._claimed.encode())

    def done(self) -> dict[int, Done]:
        """Return the finished ranges of the claimed transfer, by their offsets."""
        found: dict[int, Done] = {}
        for name in _names_in(self._dir):
            if not name.startswith(_ID):
                offset, *fields, mark = name.split("-")
                if mark != self._mark:
                    continue
                if len(fields) == len(Done._fields):
                    found[int(offset)] = Done(*map(bytes.fromhex, fields))
                else:
                    found |= self._noted_in(name)
        return found

    def _noted_in(self, name: str) -> dict[int, Done]:
        """Return the ranges in a file; none if it is torn, or was removed meanwhile."""
        offset, step, count = map(int, name.split("-")[:3])
        try:
            content = (self._dir / name).read_bytes()
        except FileNotFoundError:
            return {}
        digests, proof = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if xxhash.xxh3_128_digest(digests) != proof:
            return {}
        length = len(digests) // count
        return {
            offset + at * step: Done(digests[at * length : (at + 1) * length])
            for at in range(count)
        }

    def forget(self) -> None:
        """Remove the record, unless it is of another transfer by now."""
        if self.id == self._claimed:
            drop(self._dir)


def begun(root: Path, path: bytes | None = None) -> Iterator[tuple[bytes, str, Path]]:
    """Yield `(path, id, record)` of every transfer below `root`, or of one path."""
    prefix = "" if path is None else _name_of(path)
    for name in sorted(_names_in(root)):
        if name.startswith(prefix) and (root / name / _ID).exists():
            yield (*_read(root / name / _ID), root / name)


def drop(record: Path) -> None:
    """Remove a record; no error if somebody else removed it."""
    gone = record.with_name(f"{_GONE}{secrets.token_hex(6)}")
    try:
        os.rename(record, gone)  # whoever is about to note something finds nothing
    except FileNotFoundError:
        return
    while not _removed(gone):
        pass  # whoever had found the directory before noted something in it


def _removed(directory: Path) -> bool:
    for name in _names_in(directory):
        (directory / name).unlink(missing_ok=True)
    try:
        directory.rmdir()
    except OSError as err:
        if err.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def _names_in(directory: Path) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if not name.startswith(_GONE)]
    except FileNotFoundError:
        return []


def _read(file: Path) -> tuple[bytes, str]:
    path, _, made = file.read_text("utf-8").partition("\n")
    return bytes.fromhex(path), made


def _name_of(path: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(path)


def _version_of(entry: Entry) -> str:
    """Return an id that differs for every version of the source, on every machine."""
    version = entry._replace(path=b"", dev=0, nlink=0, target=None)
    return xxhash.xxh3_64_hexdigest(repr(tuple(version)).encode())
