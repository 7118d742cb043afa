"""POSIX attributes as metadata of an object, in rclone's form, and back.

`mtime` is seconds since the epoch with nine decimals, `mode` the whole st_mode in
octal, `uid` and `gid` are decimal; see https://rclone.org/s3/#metadata. `haulage` says
that owner, set-id bits and links are in Haulage's form. It is no proof of origin:
anyone who may put an object can write it. `doubted` decides what a directory takes
over.
"""

import os
import re
import stat
from collections.abc import Mapping
from typing import NamedTuple

from haulage.model import Entry, Kind

_TIME = re.compile(r"(-?)(\d{1,18})(?:\.(\d{1,9})\d*)?")
_GROUP = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_GIGA = 1_000_000_000
OURS = "haulage"
_FORMAT = "1"
_TYPE_OF = {
    Kind.FILE: stat.S_IFREG,
    Kind.DIR: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
}
_DEFAULT_MODE = {Kind.FILE: 0o644, Kind.DIR: 0o755}


class Stamp(NamedTuple):
    """The attributes that an object's metadata gives its file."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: tuple[int, int] | None  # seconds, nanoseconds
    group: tuple[int, int] | None = None  # device, inode of a file with other names


def stamp_of(entry: Entry) -> dict[str, str]:
    """Return the metadata with which `entry` is stored as an object."""
    metadata = {
        "mtime": _time_to_text(entry.mtime_s, entry.mtime_ns),
        "mode": f"{_TYPE_OF[Kind(entry.kind)] | entry.mode:o}",
        "uid": str(entry.uid),
        "gid": str(entry.gid),
        OURS: _FORMAT,
    }
    if entry.kind == Kind.FILE and entry.nlink > 1:
        metadata["hardlink"] = f"{entry.dev}-{entry.ino}"
    return metadata


def read_stamp(metadata: Mapping[str, str], kind: Kind) -> Stamp:
    """Return the attributes in `metadata`; those missing are as for a new file."""
    mode = _number(metadata.get("mode"), 8)
    mine = metadata.get(OURS) == _FORMAT and mode is not None
    permissions = _DEFAULT_MODE[kind] if mode is None else mode & 0o777
    owner = group = None
    if mine:
        assert mode is not None
        permissions = stat.S_IMODE(mode)
        owner = _owner(metadata)
        if kind is Kind.FILE and stat.S_ISLNK(mode):
            kind = Kind.SYMLINK
        if kind is Kind.FILE:
            group = _group(metadata)
    uid, gid = owner or (os.geteuid(), os.getegid())
    mtime = _time_from(metadata.get("mtime"))
    return Stamp(kind, permissions, uid, gid, mtime, group)


def _owner(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    uid, gid = _number(metadata.get("uid"), 10), _number(metadata.get("gid"), 10)
    return None if uid is None or gid is None else (uid, gid)


def _group(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    match = _GROUP.fullmatch(metadata.get("hardlink", ""))
    if not match:
        return None
    device, inode = map(int, match.groups())
    return (device, inode) if max(device, inode) < 1 << 64 else None


def _number(text: str | None, base: int) -> int | None:
    try:
        number = int(text or "", base)
    except ValueError:
        return None
    return number if 0 <= number < 1 << 32 else None


def _time_to_text(seconds: int, nanoseconds: int) -> str:
    """Return a time as one decimal number, whose sign is that of the whole."""
    since_epoch = seconds * _GIGA + nanoseconds
    sign = "-" if since_epoch < 0 else ""
    whole, rest = divmod(abs(since_epoch), _GIGA)
    return f"{sign}{whole}.{rest:09}"


def _time_from(text: str | None) -> tuple[int, int] | None:
    match = _TIME.fullmatch(text or "")
    if not match:
        return None
    sign, whole, rest = match.groups()
    since_epoch = int(whole) * _GIGA + int((rest or "").ljust(9, "0"))
    return divmod(-since_epoch if sign else since_epoch, _GIGA)
