"""A name that is linked to its leader in the target, as it is at the source."""

import errno
import os
import subprocess

import pytest

from haulage.errors import BlockedError, UnstableError, VanishedError
from haulage.model import ANY_NAMES, Loss, Status, Verb, Verified
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.hard_link import hard
from haulage.verbs.meta import meta
from haulage.verbs.verify import verify
from tests.engine_builders import OLD_NS, action_on, checksum_of, put, read

CONTENT = b"content"


@pytest.fixture
def pair(ends):
    """Give a source file with two names, whose leader stands in the target."""
    put(ends.source, b"lead/er", CONTENT)
    os.mkdir(ends.source / "d")
    os.link(ends.source / "lead" / "er", ends.source / "d" / "member")
    copy(ends.attempt, action_on(ends.source, b"lead/er"), 0)
    return ends


def member_of(ends, **fields):
    known = {"leader": b"lead/er", "checksum": checksum_of(CONTENT), "verified": 2}
    return action_on(ends.source, b"d/member", Verb.HARD, **(known | fields))


def inode(ends, name):
    return os.lstat(ends.target / name).st_ino


def assert_linked(ends):
    assert inode(ends, "d/member") == inode(ends, "lead/er")
    assert os.lstat(ends.target / "lead" / "er").st_nlink == 2


def test_a_member_becomes_the_same_file_and_is_proven_as_its_leader_is(pair):
    outcome = hard(pair.attempt, member_of(pair), 0)
    assert_linked(pair)
    assert outcome.status == Status.MADE
    assert outcome.checksum == checksum_of(CONTENT)
    assert outcome.verified == Verified.CHECKSUM
    assert outcome.entry
    assert outcome.entry.path == b"d/member"
    assert outcome.entry.target is None
    assert outcome.moved == 0


def test_doing_it_again_changes_nothing(pair):
    hard(pair.attempt, member_of(pair), 0)
    before = os.lstat(pair.target / "d").st_mtime_ns
    assert hard(pair.attempt, member_of(pair), 1).status == Status.UNCHANGED
    assert os.lstat(pair.target / "d").st_mtime_ns == before
    assert_linked(pair)


@pytest.mark.parametrize("there", ["file", "symlink", "empty directory", "other link"])
def test_what_stands_at_its_name_is_replaced(pair, tmp_path, there):
    victim = put(tmp_path, b"victim", b"precious")
    name = pair.target / "d" / "member"
    name.parent.mkdir()
    if there == "file":
        name.write_bytes(b"old")
    elif there == "symlink":
        name.symlink_to(victim)
    elif there == "empty directory":
        name.mkdir()
    else:
        os.link(victim, name)
    assert hard(pair.attempt, member_of(pair), 0).status == Status.MADE
    assert_linked(pair)
    assert read(tmp_path, b"victim") == b"precious"


def test_a_directory_with_content_at_its_name_blocks_it(pair):
    put(pair.target, b"d/member/inside", b"foreign")
    with pytest.raises(BlockedError, match="directory with content"):
        hard(pair.attempt, member_of(pair), 0)
    assert read(pair.target, b"d/member/inside") == b"foreign"


def test_without_a_leader_it_is_blocked_and_names_the_inode(pair):
    action = member_of(pair, leader=None)
    with pytest.raises(BlockedError, match=f"inode {action.ino} of device"):
        hard(pair.attempt, action, 0)
    assert not os.path.lexists(pair.target / "d" / "member")


@pytest.mark.parametrize("edit", ["replaced", "leader replaced", "leader gone"])
def test_names_that_are_no_longer_of_one_file_are_unstable(pair, edit):
    action = member_of(pair)
    if edit == "replaced":
        os.unlink(pair.source / "d" / "member")
        put(pair.source, b"d/member", CONTENT)
    else:
        os.unlink(pair.source / "lead" / "er")
        if edit == "leader replaced":
            put(pair.source, b"lead/er", CONTENT)
    with pytest.raises(UnstableError, match="no longer the same file as lead/er"):
        hard(pair.attempt, action, 0)
    assert not os.path.lexists(pair.target / "d" / "member")


def test_a_member_that_is_gone_has_vanished(pair):
    action = member_of(pair)
    os.unlink(pair.source / "d" / "member")
    with pytest.raises(VanishedError):
        hard(pair.attempt, action, 0)


@pytest.mark.parametrize("edit", ["gone", "size", "mtime", "symlink", "directory"])
def test_nothing_is_linked_to_what_is_not_the_leader_that_was_made(
    pair, tmp_path, edit
):
    leader = pair.target / "lead" / "er"
    if edit == "size":
        put(pair.target, b"lead/er", b"another")
        os.truncate(leader, 3)
        os.utime(leader, ns=(OLD_NS, OLD_NS))
    elif edit == "mtime":
        os.utime(leader, ns=(OLD_NS, OLD_NS + 1))
    else:
        leader.unlink()
    if edit == "symlink":
        leader.symlink_to(os.fsdecode(put(tmp_path, b"victim", CONTENT)))
    elif edit == "directory":
        leader.mkdir()
    with pytest.raises(UnstableError, match="target's lead/er"):
        hard(pair.attempt, member_of(pair), 0)
    assert not os.path.lexists(pair.target / "d" / "member")


def test_a_symlink_above_the_leader_is_not_followed(pair, tmp_path):
    put(tmp_path / "outside", b"er", CONTENT)
    subprocess.run(["rm", "-r", pair.target / "lead"], check=True)
    (pair.target / "lead").symlink_to(tmp_path / "outside")
    pair.attempt.target.descent.forget()
    with pytest.raises((UnstableError, OSError)):
        hard(pair.attempt, member_of(pair), 0)
    assert os.stat(tmp_path / "outside" / "er").st_nlink == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
def test_where_no_link_can_be_it_is_copied_and_told(pair):
    (pair.target / "d").mkdir()
    mount = ["mount", "-t", "tmpfs", "none", str(pair.target / "d")]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        pair.attempt.target.descent.forget()
        outcome = hard(pair.attempt, member_of(pair), 0)
        assert outcome.status == Status.COPIED
        assert outcome.lost
        assert outcome.entry
        assert outcome.lost.kinds == Loss.LINK
        assert os.strerror(errno.EXDEV) in outcome.lost.words
        assert outcome.entry.target is None
        assert read(pair.target, b"d/member") == CONTENT
        assert os.listdir(pair.target / "d") == ["member"]
    finally:
        pair.attempt.target.descent.forget()
        subprocess.run(["umount", str(pair.target / "d")], check=True)


@pytest.mark.parametrize("do", [meta, check])
def test_a_file_with_a_foreign_name_is_never_changed_in_place(pair, tmp_path, do):
    os.link(pair.target / "lead" / "er", tmp_path / "foreign")
    mode = os.lstat(tmp_path / "foreign").st_mode
    os.chmod(pair.source / "lead" / "er", 0o600)
    outcome = do(pair.attempt, action_on(pair.source, b"lead/er", Verb.META), 0)
    assert outcome.status == Status.COPIED
    assert os.lstat(tmp_path / "foreign").st_mode == mode
    assert os.lstat(pair.target / "lead" / "er").st_mode & 0o777 == 0o600


def test_a_file_with_a_foreign_name_is_left_as_it_is_if_nothing_changed(pair, tmp_path):
    os.link(pair.target / "lead" / "er", tmp_path / "snapshot")
    action = action_on(pair.source, b"lead/er", Verb.CHECK, leaving=ANY_NAMES)
    assert check(pair.attempt, action, 0).status == Status.UNCHANGED
    assert os.path.samefile(pair.target / "lead" / "er", tmp_path / "snapshot")


def test_a_file_whose_names_all_stay_is_changed_in_place(pair):
    hard(pair.attempt, member_of(pair), 0)
    before = inode(pair, "lead/er")
    os.chmod(pair.source / "lead" / "er", 0o600)
    action = action_on(pair.source, b"lead/er", Verb.META, shared=2)
    assert meta(pair.attempt, action, 0).status == Status.UPDATED
    assert inode(pair, "lead/er") == inode(pair, "d/member") == before


def test_names_that_leave_keep_a_file_as_it_is_but_not_from_being_left_alone(pair):
    hard(pair.attempt, member_of(pair), 0)
    before = inode(pair, "lead/er")
    action = action_on(pair.source, b"lead/er", Verb.META, leaving=1)
    assert meta(pair.attempt, action, 0).status == Status.UNCHANGED
    assert inode(pair, "lead/er") == before
    os.chmod(pair.source / "lead" / "er", 0o600)
    action = action_on(pair.source, b"lead/er", Verb.META, leaving=1)
    assert meta(pair.attempt, action, 0).status == Status.COPIED
    assert inode(pair, "d/member") == before


def test_a_file_is_read_once_to_prove_all_its_names(pair):
    hard(pair.attempt, member_of(pair), 0)
    sums = {"checksum": checksum_of(CONTENT)}
    moved = 0
    for path in (b"lead/er", b"d/member"):
        action = action_on(pair.source, path, Verb.VERIFY, **sums)
        outcome = verify(pair.attempt, action, 0)
        assert outcome.verified == Verified.CHECKSUM
        moved += outcome.moved
    assert moved == len(CONTENT)
