"""A check copies only what differs, and attributes alone move no byte."""

import os
import stat

import pytest

from haulage.model import Status, Verb, Verified
from haulage.verbs.check import check
from haulage.verbs.meta import meta
from tests.engine_builders import (
    GIGA,
    OLD_NS,
    action_on,
    as_nobody,
    checksum_of,
    linear_checksum_of,
    put,
    read,
    working,
)
from tests.stores import RANGE

# ------------------------------------------------------------------ check


def both(ends, content: bytes = b"same", **in_source) -> None:
    put(ends.source, b"f", content, **in_source)
    put(ends.target, b"f", content)


def checked(ends, **fields):
    was = {"was_mtime_s": OLD_NS // GIGA, "was_mtime_ns": OLD_NS % GIGA}
    return check(
        ends.attempt, action_on(ends.source, b"f", Verb.CHECK, **was | fields), 0
    )


def test_a_check_of_equal_content_moves_nothing_and_sets_the_attributes(ends):
    both(ends, mtime_ns=OLD_NS + 5 * GIGA + 1, mode=0o600)
    inode = os.stat(ends.target / "f").st_ino
    outcome = checked(ends, checksum=checksum_of(b"same"), verified=2)
    assert outcome.status == Status.UPDATED
    assert (outcome.moved, outcome.verified) == (0, Verified.CHECKSUM)
    assert outcome.checksum == checksum_of(b"same")
    found = os.stat(ends.target / "f")
    assert found.st_ino == inode
    assert found.st_mtime_ns == OLD_NS + 5 * GIGA + 1
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_a_check_of_what_differs_in_nothing_changes_nothing(ends):
    both(ends)
    before = os.stat(ends.target / "f")
    outcome = checked(ends, checksum=checksum_of(b"same"), verified=1)
    assert outcome.status == Status.UNCHANGED
    assert outcome.verified == Verified.METADATA
    assert os.stat(ends.target / "f").st_ctime_ns == before.st_ctime_ns


def test_a_check_of_other_content_copies(ends):
    both(ends)
    put(ends.source, b"f", b"else")
    outcome = checked(ends, checksum=checksum_of(b"same"), verified=2)
    assert outcome.status == Status.COPIED
    assert outcome.verified == Verified.NONE
    assert read(ends.target, b"f") == b"else"


def test_a_check_without_a_known_checksum_reads_the_target(ends):
    both(ends)
    outcome = checked(ends)
    assert outcome.status == Status.UNCHANGED
    assert outcome.verified == Verified.CHECKSUM
    put(ends.target, b"f", b"edit")
    assert checked(ends).status == Status.COPIED
    assert read(ends.target, b"f") == b"same"


@pytest.mark.usefixtures("small_ranges")
def test_a_large_file_is_known_by_what_earlier_versions_recorded(ends):
    content = os.urandom(3 * RANGE + 1)
    both(ends, content, mtime_ns=OLD_NS + 1)
    old = {"checksum": linear_checksum_of(content), "verified": 2}
    outcome = checked(ends, **old)
    assert outcome.status == Status.UPDATED
    assert (outcome.moved, outcome.verified) == (0, Verified.CHECKSUM)
    assert outcome.checksum == checksum_of(content), "the next run knows it by this"
    put(ends.source, b"f", content[:-1] + b"!")
    assert checked(ends, **old).status == Status.COPIED
    assert read(ends.target, b"f") == content[:-1] + b"!"


@pytest.mark.parametrize("known", [checksum_of(b"same"), None])
def test_a_check_copies_what_is_missing_or_edited_in_the_target(ends, known):
    both(ends)
    os.unlink(ends.target / "f")
    assert checked(ends, checksum=known).status == Status.COPIED
    put(ends.target, b"f", b"edit", mtime_ns=OLD_NS + 1)
    assert checked(ends, checksum=known).status == Status.COPIED
    assert read(ends.target, b"f") == b"same"


def test_a_check_of_a_file_that_has_another_size_now_copies_it(ends):
    both(ends)
    assert checked(ends, size=3).status == Status.COPIED


# ------------------------------------------------------------------ meta


def test_attributes_alone_leave_the_content_and_keep_the_proof(ends):
    both(ends, mode=0o600, mtime_ns=OLD_NS + 1)
    inode = os.stat(ends.target / "f").st_ino
    action = action_on(
        ends.source, b"f", Verb.META,
        was_mtime_s=OLD_NS // GIGA, was_mtime_ns=OLD_NS % GIGA,
        checksum=bytes(16), verified=2,
    )  # fmt: skip
    outcome = meta(ends.attempt, action, 0)
    assert outcome.status == Status.UPDATED
    assert (outcome.checksum, outcome.verified) == (bytes(16), Verified.CHECKSUM)
    found = os.stat(ends.target / "f")
    assert found.st_ino == inode
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_mtime_ns == OLD_NS + 1


@pytest.mark.parametrize("edit", ["content", "time", "link", "missing", "hard link"])
def test_attributes_are_never_set_on_what_we_did_not_make(ends, tmp_path, edit):
    both(ends, mode=0o600)
    victim = put(tmp_path, b"victim", b"precious", mode=0o755)
    os.unlink(ends.target / "f")
    if edit == "content":
        put(ends.target, b"f", b"longer now")
    elif edit == "time":
        put(ends.target, b"f", b"same", mtime_ns=OLD_NS + 9)
    elif edit == "link":
        os.symlink(victim, ends.target / "f")
    elif edit == "hard link":
        os.link(victim, ends.target / "f")
    outcome = meta(ends.attempt, action_on(ends.source, b"f", Verb.META), 0)
    assert outcome.status == Status.COPIED
    assert read(ends.target, b"f") == b"same"
    assert stat.S_IMODE(os.stat(ends.target / "f").st_mode) == 0o600
    assert read(tmp_path, b"victim") == b"precious"
    assert stat.S_IMODE(os.stat(victim).st_mode) == 0o755


def test_attributes_of_a_file_that_its_owner_may_not_read_are_set(commons):
    def changed():
        source, target = commons / "s", commons / "t"
        put(source, b"f", b"x", mode=0o640)
        put(target, b"f", b"x", mode=0)
        with working(source, target) as attempt:
            status = meta(attempt, action_on(source, b"f", Verb.META), 0).status
        return int(status), stat.S_IMODE(os.stat(target / "f").st_mode)

    assert as_nobody(changed) == (Status.UPDATED, 0o640)
