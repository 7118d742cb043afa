import os
import random
import socket
import stat

import numpy as np
import pyarrow as pa
import pytest

from haulage.model import ENTRY, Kind
from haulage.storage.tree.files import entry_of
from haulage.storage.tree.metadata.statx import StatBuffer, entry_table
from tests.trees.attributes import EDGE_OWNERS, EDGE_TIMES_NS


def table_of(place, names: list[bytes]) -> pa.Table:
    buffer = StatBuffer(len(names))
    fd = os.open(place, os.O_RDONLY)
    for row, name in enumerate(names):
        assert buffer.fill(row, fd, name) == 0
    os.close(fd)
    return entry_table(names, buffer.records, pa.nulls(len(names), pa.binary()))


def expected(place, names: list[bytes]) -> list[dict]:
    found = (os.lstat(os.path.join(os.fsencode(place), name)) for name in names)
    return [
        entry_of(name, info)._asdict() for name, info in zip(names, found, strict=True)
    ]


def test_every_column_is_what_lstat_says(place):
    rng, names = random.Random(3), []
    for number, mtime_ns in enumerate(EDGE_TIMES_NS * 2):
        name = b"f%d" % number
        full = os.path.join(os.fsencode(place), name)
        with open(full, "wb") as file:
            file.truncate(rng.choice([0, 1, 4097, 1 << 31]))
        if os.geteuid() == 0:
            os.chown(full, rng.choice(EDGE_OWNERS), rng.choice(EDGE_OWNERS))
        os.chmod(full, rng.randrange(0o10000))
        os.utime(full, ns=(0, mtime_ns))
        names.append(name)
    os.link(place / "f0", place / "hard")
    os.symlink("f0", place / "soft")
    os.mkdir(place / "dir", 0o3751)
    names += [b"hard", b"soft", b"dir"]
    table = table_of(place, names)
    assert table.schema == ENTRY
    assert table.to_pylist() == expected(place, names)


def test_times_before_1970_keep_their_nanoseconds_positive(place):
    (place / "old").touch()
    os.utime(place / "old", ns=(0, -1))
    (row,) = table_of(place, [b"old"]).to_pylist()
    kept = os.lstat(place / "old").st_mtime_ns
    assert row["mtime_s"] * 1_000_000_000 + row["mtime_ns"] == kept
    assert 0 <= row["mtime_ns"] < 1_000_000_000


def test_every_kind_is_told(place):
    os.mkfifo(place / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(place / "socket"))
    (place / "file").touch()
    (place / "dir").mkdir()
    (place / "link").symlink_to("nowhere")
    wanted = {
        b"fifo": Kind.FIFO,
        b"socket": Kind.SOCKET,
        b"file": Kind.FILE,
        b"dir": Kind.DIR,
        b"link": Kind.SYMLINK,
    }
    table = table_of(place, list(wanted))
    assert table["kind"].to_pylist() == list(wanted.values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_devices_are_told_apart(place):
    os.mknod(place / "char", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(place / "block", stat.S_IFBLK | 0o600, os.makedev(259, 70_000))
    kinds = table_of(place, [b"char", b"block"])["kind"].to_pylist()
    assert kinds == [Kind.CHAR, Kind.BLOCK]


def test_the_device_number_is_the_one_that_stat_gives(place):
    buffer = StatBuffer(3)
    fd = os.open(place, os.O_RDONLY)
    assert buffer.fill(2, fd, b".") == 0
    os.close(fd)
    assert buffer.device(2) == os.stat(place).st_dev


def test_large_device_numbers_are_combined_as_the_system_does():
    rng = random.Random(8)
    pairs = [(rng.getrandbits(31), rng.getrandbits(31)) for _ in range(500)]
    buffer = StatBuffer(len(pairs))
    buffer.records["dev_major"], buffer.records["dev_minor"] = np.array(
        pairs, np.uint32
    ).T
    names = [b"x"] * len(pairs)
    table = entry_table(names, buffer.records, pa.nulls(len(names), pa.binary()))
    assert table["dev"].to_pylist() == [os.makedev(*pair) for pair in pairs]


def test_a_name_that_is_missing_gives_its_errno(place):
    fd = os.open(place, os.O_RDONLY)
    assert StatBuffer(1).fill(0, fd, b"none") == 2
    os.close(fd)
