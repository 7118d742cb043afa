"""FIFOs, sockets and devices: left out, or made, changed and deleted as any entry."""

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import give_to_nobody
from tests.e2e.place import GUARDED, Place, paths_in, write
from tests.trees.compare import assert_same, differences, leftovers

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
ALL: dict[str, Any] = {"preserve": ["all"]}


def with_fifo_and_socket(place: Place) -> None:
    write(place.source / "file")
    os.mkfifo(place.source / "fifo")
    os.utime(place.source / "fifo", ns=(0, -5))
    os.chdir(place.source)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")


def with_devices(place: Place) -> None:
    os.mknod(place.source / "char", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(place.source / "block", stat.S_IFBLK | 0o600, os.makedev(259, 300_000))
    os.chown(place.source / "char", 12, 34)
    os.setxattr(place.source / "char", "trusted.t", b"t")


def test_what_nobody_asked_for_is_left_out_and_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    with_fifo_and_socket(place)
    for _ in range(2):
        summary = place.sync()
        assert summary.notes == ("2 special files were left out",)
        assert paths_in(place.target) == {b"file"}
    summary = place.sync(preserve=["mode", "specials"])
    assert (summary.made, summary.notes) == (2, ())
    assert paths_in(place.target) == {b"file", b"fifo", b"socket"}
    summary = place.sync(preserve=["mode"])
    assert summary.notes == (), "what is there is not left out"


@needs_root
def test_devices_are_asked_for_apart(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    with_fifo_and_socket(place)
    with_devices(place)
    summary = place.sync(preserve=["devices", "times"])
    assert summary.notes == ("2 special files were left out",)
    assert paths_in(place.target) == {b"file", b"block", b"char"}


def retype(source: Path) -> None:
    for path in source.glob("*becomes*"):
        path.unlink()
    (source / "gone").unlink()
    os.mkfifo(source / "file that becomes a fifo")
    write(source / "fifo that becomes a file")
    write(source / "fifo that becomes a directory" / "file")


@needs_root
def test_a_night_brings_special_files_after_their_changes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    source = place.source
    with_fifo_and_socket(place)
    with_devices(place)
    write(source / "file that becomes a fifo")
    os.mkfifo(source / "fifo that becomes a file")
    os.mkfifo(source / "fifo that becomes a directory")
    os.mkfifo(source / "gone")
    policy = {**ALL, **GUARDED}
    assert place.sync(**policy).failed == 0
    assert_same(source, place.target)
    assert place.manifest()[b"block"]["target"] == b"259:300000"
    os.unlink(source / "block")
    os.mknod(source / "block", stat.S_IFBLK | 0o600, os.makedev(259, 300_001))
    os.chmod(source / "fifo", 0o640)
    os.chown(source / "socket", 56, 78)
    os.setxattr(source / "char", "trusted.t", b"u")
    retype(source)
    summary = place.sync(**policy)
    assert (summary.exit_code, summary.failed) == (0, 0), place.failures()
    assert b"gone" in place.deleted()
    assert_same(source, place.target)
    assert leftovers(place.target) == []
    summary = place.sync(**policy)
    assert (summary.made, summary.updated, summary.deleted) == (0, 0, 0)


@needs_root
def test_a_target_that_has_special_files_already_is_adopted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    with_fifo_and_socket(place)
    with_devices(place)
    place.target.mkdir()
    os.mkfifo(place.target / "char")
    os.mknod(place.target / "fifo", stat.S_IFCHR, os.makedev(5, 5))
    assert place.sync(**ALL).exit_code == 0
    assert_same(place.source, place.target)


@needs_root
def test_a_device_that_was_replaced_in_the_target_is_found_by_verify(
    place: Place,
) -> None:
    with_devices(place)
    place.sync(**ALL)
    path = place.target / "block"
    was, above = os.lstat(path), os.stat(place.target)
    path.unlink()
    os.mknod(path, was.st_mode, os.makedev(7, 0))
    for changed, info in ((path, was), (place.target, above)):
        os.utime(changed, ns=(info.st_mtime_ns, info.st_mtime_ns))
    ended = place.haulage("verify", place.name, "--json")
    assert (ended.code, ended.summary()["failed"]) == (1, 1)
    reason = place.failures()[b"block"].reason
    assert "target is 7:0, not 259:300000" in reason


def test_a_user_who_is_not_root_makes_fifos_and_sockets_and_is_told_of_devices(
    nobodys_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    source, target = nobodys_place.source, nobodys_place.target
    with_fifo_and_socket(nobodys_place)
    os.mknod(source / "char", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    give_to_nobody(source)
    for _ in range(2):
        ended = nobodys_place.sync_by_command("--preserve", "all")
        assert (ended.code, ended.summary()["failed"]) == (1, 1), ended.text
        reason = nobodys_place.failures()[b"char"].reason
        assert (
            "a character device cannot be made here: Operation not permitted" in reason
        )
        assert "devices are for root alone" in reason
        assert differences(source, target) == ["char: missing"]
        assert leftovers(target) == []
