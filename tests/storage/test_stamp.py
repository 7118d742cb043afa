import os

import pytest

from haulage.model import Kind
from haulage.storage.buckets.objects.stamp import read_stamp, stamp_of
from tests.engine_builders import entry

TIMES = [
    (0, 0, "0.000000000"),
    (1_500_000_000, 123_456_789, "1500000000.123456789"),
    (-2, 500_000_000, "-1.500000000"),
    (-1, 999_999_999, "-0.000000001"),
    (-5_000_000_000, 0, "-5000000000.000000000"),
    (9_300_000_000, 1, "9300000000.000000001"),
]


@pytest.mark.parametrize(("seconds", "nanoseconds", "text"), TIMES)
def test_a_time_is_one_decimal_number_and_comes_back(seconds, nanoseconds, text):
    metadata = stamp_of(entry(b"f", mtime_s=seconds, mtime_ns=nanoseconds))
    assert metadata["mtime"] == text
    assert read_stamp(metadata, Kind.FILE).mtime == (seconds, nanoseconds)


@pytest.mark.parametrize(
    ("text", "mtime"),
    [
        ("1500000000", (1_500_000_000, 0)),
        ("1500000000.5", (1_500_000_000, 500_000_000)),
        ("1.1234567899", (1, 123_456_789)),
        ("-0.5", (-1, 500_000_000)),
        ("999999999999999999.999999999", (999_999_999_999_999_999, 999_999_999)),
    ],
)
def test_times_of_other_tools_are_understood(text, mtime):
    assert read_stamp({"mtime": text}, Kind.FILE).mtime == mtime


@pytest.mark.parametrize(
    "text", ["", "x", "1e9", "1.", " 1", "1\n", "--1", "9" * 19, "nan", "2026-01-01"]
)
def test_what_is_no_time_is_none(text):
    assert read_stamp({"mtime": text}, Kind.FILE).mtime is None


def test_the_metadata_is_in_the_form_that_others_read():
    directory = stamp_of(entry(b"d/", mode=0o2750, uid=12, gid=34))
    assert directory == {
        "mtime": "1500000000.000000005",
        "mode": "42750",
        "uid": "12",
        "gid": "34",
        "haulage": "1",
    }
    assert stamp_of(entry(b"f", mode=0o644))["mode"] == "100644"
    link = stamp_of(entry(b"l", kind=Kind.SYMLINK, mode=0o777, target=b"x"))
    assert link["mode"] == "120777"


def test_hard_links_are_named_by_what_they_share():
    assert stamp_of(entry(b"f", nlink=2, dev=3, ino=4))["hardlink"] == "3-4"
    assert "hardlink" not in stamp_of(entry(b"f", nlink=1))
    assert "hardlink" not in stamp_of(entry(b"d/", nlink=5))


def test_what_files_share_comes_back_where_we_wrote_it():
    most = (1 << 64) - 1
    written = stamp_of(entry(b"f", nlink=2, dev=most, ino=4))
    assert read_stamp(written, Kind.FILE).group == (most, 4)
    assert read_stamp(written, Kind.DIR).group is None
    assert read_stamp(written | {"haulage": "2"}, Kind.FILE).group is None
    link = stamp_of(entry(b"l", kind=Kind.SYMLINK, target=b"x"))
    assert read_stamp(link | {"hardlink": "3-4"}, Kind.FILE).group is None


@pytest.mark.parametrize(
    "text",
    ["", "3", "3-", "-4", "3-4-5", "3-4\n", " 3-4", "a-b", "3-٤", f"3-{1 << 64}"],
)
def test_what_is_no_inode_is_shared_with_nobody(text):
    written = stamp_of(entry(b"f")) | {"hardlink": text}
    assert read_stamp(written, Kind.FILE).group is None


@pytest.mark.parametrize("path", [b"f", b"d/"])
def test_what_we_wrote_comes_back_whole(path):
    was = entry(path, mode=0o7751, uid=(1 << 32) - 2, gid=0)
    stamp = read_stamp(stamp_of(was), Kind(was.kind))
    assert (stamp.kind, stamp.mode) == (was.kind, 0o7751)
    assert (stamp.uid, stamp.gid) == (was.uid, was.gid)


def test_a_strangers_owner_set_id_bits_and_link_are_not_believed():
    written = {"mode": "124755", "uid": "0", "gid": "0", "mtime": "5"}
    for mark in ({}, {"haulage": "2"}, {"haulage": ""}):
        stamp = read_stamp(written | mark, Kind.FILE)
        assert (stamp.kind, stamp.mode) == (Kind.FILE, 0o755)
        assert (stamp.uid, stamp.gid) == (os.geteuid(), os.getegid())
        assert stamp.mtime == (5, 0)
    assert read_stamp(written | {"haulage": "1"}, Kind.FILE).kind is Kind.SYMLINK


def test_a_directory_is_no_link_whatever_its_mode_says():
    stamp = read_stamp({"mode": "120777", "haulage": "1"}, Kind.DIR)
    assert stamp.kind is Kind.DIR


@pytest.mark.parametrize("mode", ["", "rwx", "-1", "9", "7" * 20, "0x1ff"])
def test_a_mode_that_is_none_is_that_of_a_new_file(mode):
    assert read_stamp({"mode": mode, "haulage": "1"}, Kind.FILE).mode == 0o644
    assert read_stamp({"mode": mode, "haulage": "1"}, Kind.DIR).mode == 0o755


def test_an_owner_is_whole_or_that_of_this_process():
    mine = (os.geteuid(), os.getegid())
    for owner in ({"uid": "1"}, {"gid": "1"}, {"uid": "1", "gid": str(1 << 32)}):
        stamp = read_stamp({"mode": "100644", "haulage": "1"} | owner, Kind.FILE)
        assert (stamp.uid, stamp.gid) == mine
