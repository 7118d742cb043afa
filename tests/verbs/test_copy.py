"""A copy has every byte and every attribute, and tells what changed under it."""

import os
import stat
import time
from pathlib import Path

import pytest

from haulage.errors import (
    BlockedError,
    CancelledError,
    UnstableError,
    VanishedError,
)
from haulage.model import Status
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from tests.engine_builders import (
    GIGA,
    OLD_NS,
    action_on,
    as_nobody,
    checksum_of,
    put,
    read,
    working,
)
from tests.trees.attributes import EDGE_TIMES_NS
from tests.trees.compare import assert_same

SIZES = [0, 1, 4095, 4096, 128 << 10, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_333_333]
LARGE = 5 << 20
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away files")


@pytest.fixture(params=[True, False], ids=["hashing", "by the kernel"])
def either(request, ends):
    """Copy with bytes through the mover, and by the kernel."""
    ends.attempt.kernel.hashing = request.param
    return ends


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_has_every_byte_and_every_attribute(either, size):
    content = os.urandom(size)
    put(either.source, b"d/f", content, mode=0o751, mtime_ns=OLD_NS)
    os.utime(either.source / "d", ns=(OLD_NS, OLD_NS))
    action = action_on(either.source, b"d/f")
    outcome = copy(either.attempt, action, 0)
    found = os.lstat(either.target / "d" / "f")
    assert read(either.target, b"d/f") == content
    assert outcome.status == Status.COPIED
    assert outcome.moved == size
    assert outcome.checksum in (None, checksum_of(content))
    assert outcome.entry is None
    assert stat.S_IMODE(found.st_mode) == 0o751
    assert found.st_mtime_ns == OLD_NS
    assert found.st_atime_ns == OLD_NS


def test_a_checksum_is_of_the_bytes_that_passed_through_us(ends):
    for size in SIZES:
        put(ends.source, b"f", content := os.urandom(size))
        ends.attempt.kernel.can_clone = False
        assert copy(
            ends.attempt, action_on(ends.source, b"f"), 0
        ).checksum == checksum_of(content)


@pytest.mark.parametrize("mtime_ns", EDGE_TIMES_NS)
def test_any_time_is_kept_to_the_nanosecond(ends, mtime_ns):
    put(ends.source, b"f", mtime_ns=mtime_ns)
    copy(ends.attempt, action_on(ends.source, b"f"), 0)
    wanted = os.stat(ends.source / "f").st_mtime_ns
    assert os.stat(ends.target / "f").st_mtime_ns == wanted


@needs_root
def test_owner_and_set_id_bits_are_kept_by_root(ends):
    put(ends.source, b"f", b"x", owner=(1234, 4321), mode=0o6751)
    outcome = copy(ends.attempt, action_on(ends.source, b"f"), 0)
    assert outcome.lost is None
    os.utime(ends.source, ns=(0, 0))
    os.utime(ends.target, ns=(0, 0))
    assert_same(ends.source, ends.target)


@needs_root
def test_a_user_who_may_not_give_files_away_says_so_and_drops_set_id_bits(commons):
    (commons / "s").mkdir()
    put(commons, b"s/f", b"x", owner=(0, 0), mode=0o6755)

    def copied():
        (commons / "t").mkdir()
        with working(commons / "s", commons / "t") as attempt:
            return copy(attempt, action_on(commons / "s", b"f"), 0).lost

    assert "owner 0:0 not kept" in as_nobody(copied).words
    assert stat.S_IMODE(os.stat(commons / "t" / "f").st_mode) == 0o755


def test_a_copy_never_writes_into_the_file_that_is_there(ends):
    put(ends.source, b"f", b"new")
    old = put(ends.target, b"f", b"old")
    os.link(old, ends.target / "hard")
    copy(ends.attempt, action_on(ends.source, b"f"), 0)
    assert read(ends.target, b"f") == b"new"
    assert read(ends.target, b"hard") == b"old"


def test_a_link_in_the_target_is_replaced_and_its_victim_untouched(ends, tmp_path):
    put(ends.source, b"f", b"new")
    put(tmp_path, b"victim", b"precious")
    (ends.target / "f").symlink_to(tmp_path / "victim")
    copy(ends.attempt, action_on(ends.source, b"f"), 0)
    assert read(tmp_path, b"victim") == b"precious"
    assert stat.S_ISREG(os.lstat(ends.target / "f").st_mode)


def test_a_linked_directory_in_the_target_is_replaced_and_not_entered(ends, tmp_path):
    put(ends.source, b"d/f", b"new")
    put(tmp_path, b"victim/f", b"precious")
    (ends.target / "d").symlink_to(tmp_path / "victim")
    copy(ends.attempt, action_on(ends.source, b"d/f"), 0)
    assert read(tmp_path, b"victim/f") == b"precious"
    assert not (ends.target / "d").is_symlink()
    assert read(ends.target, b"d/f") == b"new"


def test_a_linked_directory_in_the_source_is_not_entered(ends, tmp_path):
    put(ends.source, b"d/f", b"listed")
    action = action_on(ends.source, b"d/f")
    (ends.source / "d").rename(tmp_path / "elsewhere")
    (ends.source / "d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VanishedError):
        copy(ends.attempt, action, 0)


def test_a_directory_with_content_in_the_way_is_told_and_kept(ends):
    put(ends.source, b"f", b"new")
    put(ends.target, b"f/inside", b"content")
    with pytest.raises(BlockedError):
        copy(ends.attempt, action_on(ends.source, b"f"), 0)
    assert read(ends.target, b"f/inside") == b"content"


def test_a_file_that_is_gone_has_vanished(ends):
    action = action_on(ends.source, put(ends.source, b"f")[-1:])
    os.unlink(ends.source / "f")
    with pytest.raises(VanishedError):
        copy(ends.attempt, action, 0)
    assert os.listdir(ends.target) == []


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", ["fifo", "directory", "link"])
def test_what_is_no_file_any_more_is_unstable_and_never_waited_for(ends, what):
    put(ends.source, b"f", b"x")
    action = action_on(ends.source, b"f")
    os.unlink(ends.source / "f")
    if what == "fifo":
        os.mkfifo(ends.source / "f")
    elif what == "directory":
        (ends.source / "f").mkdir()
    else:
        (ends.source / "f").symlink_to("/etc/hostname")
    for verb in (copy, check):
        with pytest.raises((UnstableError, VanishedError)):
            verb(ends.attempt, action, 0)
    assert os.listdir(ends.target) == []


def grow(path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def shrink(path) -> None:
    os.truncate(path, 100)


def overwrite(path) -> None:
    with open(path, "r+b") as file:
        file.write(b"other")


def overwrite_and_restore_the_time(path) -> None:
    found = os.stat(path)
    overwrite(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    "change", [grow, shrink, overwrite, overwrite_and_restore_the_time]
)
def test_a_file_that_changes_while_it_is_copied_is_unstable(either, change):
    put(either.source, b"f", os.urandom(LARGE))
    action = action_on(either.source, b"f")
    asked: list[None] = []
    either.attempt.kernel.can_clone = False

    def cancelled() -> bool:  # asked in the middle of a large file
        asked.append(None)
        if len(asked) == 1:
            change(either.source / "f")
        return False

    either.attempt.cancelled = cancelled
    with pytest.raises(UnstableError, match="changed while it was copied"):
        copy(either.attempt, action, 0)
    assert asked
    assert os.listdir(either.target) == []


def test_a_cancel_in_the_middle_of_a_file_leaves_nothing_behind(either):
    put(either.source, b"f", os.urandom(LARGE))
    put(either.target, b"f", b"old")
    either.attempt.kernel.can_clone = False
    either.attempt.cancelled = lambda: (
        either.attempt.moved > 0 or not either.attempt.kernel.hashing
    )
    with pytest.raises(CancelledError):
        copy(either.attempt, action_on(either.source, b"f"), 0)
    assert os.listdir(either.target) == ["f"]
    assert read(either.target, b"f") == b"old"


def test_what_changed_between_listing_and_copy_is_recorded_as_it_was_copied(ends):
    put(ends.source, b"f", b"as listed")
    action = action_on(ends.source, b"f")
    put(ends.source, b"f", b"changed since", mtime_ns=OLD_NS + 1)
    outcome = copy(ends.attempt, action, 0)
    now = os.stat(ends.source / "f")
    assert outcome.entry
    assert outcome.entry.size == now.st_size == 13
    assert outcome.entry.mtime_s * GIGA + outcome.entry.mtime_ns == now.st_mtime_ns
    assert outcome.entry.ctime_s * GIGA + outcome.entry.ctime_ns == now.st_ctime_ns
    assert outcome.entry.ino == now.st_ino


def test_a_file_that_was_touched_just_now_is_racy(ends):
    put(ends.source, b"young", mtime_ns=time.time_ns())
    assert copy(ends.attempt, action_on(ends.source, b"young"), 0).racy is True


def test_a_file_whose_attributes_changed_just_now_is_racy_though_its_mtime_is_old(ends):
    put(ends.source, b"old", mtime_ns=OLD_NS)
    assert copy(ends.attempt, action_on(ends.source, b"old"), 0).racy is True


def test_a_young_file_is_racy_however_long_its_copy_takes(ends):
    put(ends.source, b"f", os.urandom(LARGE))
    action = action_on(ends.source, b"f")
    asked: list[None] = []
    ends.attempt.kernel.can_clone = False

    def cancelled() -> bool:
        if not asked:
            time.sleep(2.1)  # longer than the clock of any file system ticks
        asked.append(None)
        return False

    ends.attempt.cancelled = cancelled
    assert copy(ends.attempt, action, 0).racy is True


def test_a_file_that_says_it_is_empty_and_is_not_is_not_copied_as_empty(ends):
    kernel = Path("/proc/sys/kernel")
    with working(kernel, ends.target) as attempt:
        action = action_on(kernel, b"ostype")
        with pytest.raises(UnstableError, match="has 0 bytes, but has content"):
            copy(attempt, action, 0)
