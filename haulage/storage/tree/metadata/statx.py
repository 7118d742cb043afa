"""statx(2) into NumPy records: a directory's metadata without an object per entry."""

import ctypes
import os
import struct

import numpy as np
import pyarrow as pa

from haulage.model import ENTRY, Kind

# PyDLL keeps the interpreter lock: giving it up and taking it back costs as much as the
# call itself on a local file system.
_libc = ctypes.PyDLL(None, use_errno=True)
_statx = _libc.statx
_statx.argtypes = [
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_void_p,
]
_statx.restype = ctypes.c_int

_AT_SYMLINK_NOFOLLOW = 0x100
_AT_NO_AUTOMOUNT = 0x800
_AT_EMPTY_PATH = 0x1000
_AT_STATX_DONT_SYNC = 0x4000
_FLAGS = _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT
_BASIC_STATS = 0x7FF
_RECORD_BYTES = 256

_TIME = np.dtype([("s", "<i8"), ("ns", "<u4"), ("_", "<i4")])
RECORD = np.dtype(  # struct statx, see statx(2)
    {
        "names": [
            "nlink", "uid", "gid", "mode", "ino", "size", "atime", "ctime", "mtime",
            "dev_major", "dev_minor", "rdev_major", "rdev_minor",
        ],
        "formats": [
            "<u4", "<u4", "<u4", "<u2", "<u8", "<u8", _TIME, _TIME, _TIME, "<u4", "<u4",
            "<u4", "<u4",
        ],
        "offsets": [16, 20, 24, 28, 32, 40, 64, 96, 112, 136, 140, 128, 132],
        "itemsize": _RECORD_BYTES,
    }
)  # fmt: skip

_KIND_OF_TYPE = np.zeros(16, np.uint8)
for _bits, _kind in (
    (0o1, Kind.FIFO),
    (0o2, Kind.CHAR),
    (0o4, Kind.DIR),
    (0o6, Kind.BLOCK),
    (0o10, Kind.FILE),
    (0o12, Kind.SYMLINK),
    (0o14, Kind.SOCKET),
):
    _KIND_OF_TYPE[_bits] = _kind


class StatBuffer:
    """Room for the records of up to `rows` entries, filled one call at a time."""

    def __init__(self, rows: int) -> None:
        """Allocate `rows` records once; they are reused page after page."""
        self.records = np.zeros(rows, RECORD)
        self._address = self.records.ctypes.data

    def fill(self, row: int, dir_fd: int, name: bytes) -> int:
        """Stat `name` into `row`, not following a link; return 0 or the errno."""
        at = self._address + row * _RECORD_BYTES
        if _statx(dir_fd, name, _FLAGS, _BASIC_STATS, at) == 0:
            return 0
        return ctypes.get_errno()

    def device(self, row: int) -> int:
        """Return the device number of the record in `row`."""
        record = self.records[row]
        return os.makedev(int(record["dev_major"]), int(record["dev_minor"]))

    def identity(self, row: int) -> tuple[int, int]:
        """Return the device and the inode of the record in `row`."""
        return self.device(row), int(self.records[row]["ino"])


_one = ctypes.create_string_buffer(_RECORD_BYTES)
_one_at = ctypes.addressof(_one)
_FLAGS_AND_KNOWN = struct.Struct("<8xQ40xQ")


def flags_in(fd: int) -> tuple[int, int]:
    """Return the flags of an open file, and which of them its file system knows.

    No server is asked. A record would be slower to read: this is done for every file.
    """
    if _statx(fd, b"", _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC, 0, _one_at):
        return 0, 0
    flags, known = _FLAGS_AND_KNOWN.unpack_from(_one)
    return flags, known


def kinds_of(records: np.ndarray) -> np.ndarray:
    """Return the model's kinds of `records`, as uint8."""
    kinds: np.ndarray = _KIND_OF_TYPE[records["mode"] >> 12]
    return kinds


def entry_table(paths: list[bytes], records: np.ndarray, targets: pa.Array) -> pa.Table:
    """Build ENTRY columns from paths, their records and the link targets."""
    dev = _makedev(records["dev_major"], records["dev_minor"])
    columns = [
        pa.array(paths, pa.binary()),
        kinds_of(records),
        records["mode"] & 0o7777,
        records["uid"],
        records["gid"],
        records["size"].astype(np.int64),
        records["mtime"]["s"],
        records["mtime"]["ns"],
        records["ctime"]["s"],
        records["ctime"]["ns"],
        dev,
        records["ino"],
        records["nlink"],
        targets,
        pa.nulls(len(paths), pa.binary()),
    ]
    return pa.table(
        [
            column
            if isinstance(column, pa.Array)
            else pa.array(np.ascontiguousarray(column), field.type)
            for column, field in zip(columns, ENTRY, strict=True)
        ],
        schema=ENTRY,
    )


def _makedev(major: np.ndarray, minor: np.ndarray) -> np.ndarray:
    """Combine device numbers as makedev(3) of the GNU C library does."""
    high, low = major.astype(np.uint64), minor.astype(np.uint64)
    combined: np.ndarray = (
        ((high & np.uint64(0xFFFFF000)) << np.uint64(32))
        | ((high & np.uint64(0xFFF)) << np.uint64(8))
        | ((low & np.uint64(0xFFFFFF00)) << np.uint64(12))
        | (low & np.uint64(0xFF))
    )
    return combined
