import os
import struct
import subprocess

import pytest

from haulage.model import Loss, Status, Verb
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.dirs import finish_dir
from haulage.verbs.link import link
from haulage.verbs.meta import meta
from haulage.verbs.parts import part, publish
from tests.engine_builders import action_on, as_nobody, put, working
from tests.trees.attributes import CAPABILITY, acl
from tests.trees.compare import assert_same

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may set these")


def xattrs_of(path):
    names = os.listxattr(path, follow_symlinks=False)
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def same_times(ends):
    for root in (ends.source, ends.target):
        os.utime(root, ns=(0, 0))


def finish_root(ends):
    return finish_dir(ends.attempt, action_on(ends.source, b"", Verb.DIR), 0)


def test_attributes_of_a_file_are_kept_whatever_they_hold(ends):
    f = put(ends.source, b"f", b"x")
    values = {"user.empty": b"", "user." + "n" * 250: b"long", "user.bin": bytes(256)}
    for name, value in values.items():
        os.setxattr(f, name, value)
    assert copy(ends.attempt, action_on(ends.source, b"f"), 0).lost is None
    assert xattrs_of(ends.target / "f") == values


@needs_root
def test_a_privileged_file_keeps_owner_mode_capability_and_acl_together(ends):
    f = put(ends.source, b"f", b"x", owner=(1234, 4321), mode=0o6751)
    os.setxattr(f, "security.capability", CAPABILITY)
    os.setxattr(f, "trusted.t", b"t")
    os.setxattr(f, ACCESS, acl(0o751, 4_000_000_000))
    assert copy(ends.attempt, action_on(ends.source, b"f"), 0).lost is None
    same_times(ends)
    assert os.stat(f).st_mode & 0o7777 == 0o6751
    assert_same(ends.source, ends.target)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o674, 0o770, 0o400])
def test_the_mask_of_an_acl_survives_the_mode(ends, mode):
    f = put(ends.source, b"f", b"x", mode=mode)
    os.setxattr(f, ACCESS, acl(mode, 77))
    copy(ends.attempt, action_on(ends.source, b"f"), 0)
    assert xattrs_of(ends.target / "f") == {ACCESS: acl(mode, 77)}


def test_a_file_takes_no_acl_from_the_directory_that_it_is_put_into(ends):
    os.setxattr(ends.target, DEFAULT, acl(0o777, 77))
    put(ends.source, b"f", b"x", mode=0o640)
    copy(ends.attempt, action_on(ends.source, b"f"), 0)
    assert xattrs_of(ends.target / "f") == {}
    assert os.stat(ends.target / "f").st_mode & 0o777 == 0o640


def test_a_directory_becomes_as_its_source_in_acls_and_attributes(ends):
    os.setxattr(ends.source, DEFAULT, acl(0o751, 77))
    os.setxattr(ends.source, ACCESS, acl(0o755, 78))
    os.setxattr(ends.source, "user.a", b"new")
    os.setxattr(ends.target, "user.a", b"old")
    os.setxattr(ends.target, "user.b", b"extra")
    os.chmod(ends.source, 0o755)
    assert finish_root(ends).lost is None
    assert_same(ends.source, ends.target)
    for name in (DEFAULT, ACCESS, "user.a"):
        os.removexattr(ends.source, name)
    finish_root(ends)
    assert_same(ends.source, ends.target)


@needs_root
def test_a_symbolic_link_keeps_its_own_attributes_not_those_of_its_end(ends):
    end = put(ends.source, b"end", b"x")
    os.setxattr(end, "trusted.end", b"no")
    (ends.source / "l").symlink_to("end")
    os.setxattr(ends.source / "l", "trusted.l", b"yes", follow_symlinks=False)
    assert link(ends.attempt, action_on(ends.source, b"l", Verb.LINK), 0).lost is None
    assert xattrs_of(ends.target / "l") == {"trusted.l": b"yes"}


def synced_twice(ends, change, verb):
    """Copy a file, change the source's attributes, do `verb`; return its outcome."""
    f = put(ends.source, b"f", b"x", mode=0o644)
    os.setxattr(f, "user.a", b"1")
    os.setxattr(f, ACCESS, acl(0o644, 5))
    checksum = copy(ends.attempt, action_on(ends.source, b"f"), 0).checksum
    change(f)
    inode = os.stat(ends.target / "f").st_ino
    do = {Verb.META: meta, Verb.CHECK: check}[verb]
    outcome = do(ends.attempt, action_on(ends.source, b"f", verb, checksum=checksum), 1)
    assert os.stat(ends.target / "f").st_ino == inode, "it was copied again"
    same_times(ends)
    assert_same(ends.source, ends.target)
    return outcome


CHANGES = {
    "set": lambda f: os.setxattr(f, "user.b", b"2"),
    "another value": lambda f: os.setxattr(f, "user.a", b"2"),
    "removed": lambda f: os.removexattr(f, "user.a"),
    "another ACL": lambda f: os.setxattr(f, ACCESS, acl(0o640, 6)),
    "no ACL": lambda f: os.removexattr(f, ACCESS),
    "chmod": lambda f: os.chmod(f, 0o600),
}


@pytest.mark.parametrize("verb", [Verb.META, Verb.CHECK])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_attributes_alone_moves_no_content(ends, change, verb):
    assert synced_twice(ends, CHANGES[change], verb).status == Status.UPDATED


@needs_root
def test_a_capability_survives_a_change_of_the_mode_alone(ends):
    f = put(ends.source, b"f", b"x")
    os.setxattr(f, "security.capability", CAPABILITY)
    copy(ends.attempt, action_on(ends.source, b"f"), 0)
    os.chmod(f, 0o711)
    meta(ends.attempt, action_on(ends.source, b"f", Verb.META), 1)
    same_times(ends)
    assert_same(ends.source, ends.target)


@pytest.mark.parametrize("verb", [Verb.META, Verb.CHECK])
def test_a_file_with_equal_attributes_is_left_alone(ends, verb):
    def nothing(_path):
        return None

    assert synced_twice(ends, nothing, verb).status == Status.UNCHANGED


def test_an_owner_changes_attributes_of_a_file_that_it_may_not_write(commons):
    (commons / "s").mkdir()
    (commons / "t").mkdir()
    for name in ("s", "t"):
        os.chmod(commons / name, 0o777)

    def changed():
        f = put(commons, b"s/f", b"x", mode=0o644)
        os.setxattr(f, "user.a", b"1")
        os.chmod(f, 0o444)
        with working(commons / "s", commons / "t") as attempt:
            first = copy(attempt, action_on(commons / "s", b"f"), 0)
            os.chmod(f, 0o644)
            os.setxattr(f, "user.a", b"2")
            os.chmod(f, 0o444)
            action = action_on(commons / "s", b"f", checksum=first.checksum)
            return first.lost, meta(attempt, action, 1).lost

    assert as_nobody(changed) == (None, None)
    assert xattrs_of(commons / "t" / "f") == {"user.a": b"2"}
    assert os.stat(commons / "t" / "f").st_mode & 0o777 == 0o444


@needs_root
def test_what_a_user_may_not_set_is_lost_and_told(commons):
    (commons / "s").mkdir()
    f = put(commons, b"s/f", b"x", mode=0o755)
    os.setxattr(f, "security.capability", CAPABILITY)

    def copied():
        (commons / "t").mkdir()
        with working(commons / "s", commons / "t") as attempt:
            return copy(attempt, action_on(commons / "s", b"f"), 0)

    outcome = as_nobody(copied)
    assert outcome.status == Status.COPIED
    assert outcome.lost.kinds == Loss.OWNER | Loss.CAPABILITY
    assert "capability not kept" in outcome.lost.words


def test_a_file_that_many_movers_copied_has_its_attributes(ends):
    f = put(ends.source, b"f", b"x" * 100)
    os.setxattr(f, "user.a", b"1")
    whole = action_on(ends.source, b"f", Verb.PART)
    os.setxattr(ends.target, DEFAULT, acl(0o777, 77))
    part(ends.attempt, whole, 0)
    piece = whole._replace(verb=Verb.PUBLISH)
    assert publish(ends.attempt, piece, 0, [piece]).lost is None
    assert xattrs_of(ends.target / "f") == {"user.a": b"1"}


@needs_root
@pytest.mark.parametrize("name", ["trusted.lov", "trusted.SGI_ACL_FILE", "trusted.lma"])
def test_what_a_file_system_says_of_its_own_layout_is_never_copied(ends, name):
    f = put(ends.source, b"f", b"x")
    os.setxattr(f, name, b"raw")
    assert copy(ends.attempt, action_on(ends.source, b"f"), 0).lost is None
    assert xattrs_of(ends.target / "f") == {}


def test_room_that_the_target_has_not_for_an_attribute_is_not_a_full_disk(
    ends, small_ext4
):
    f = put(ends.source, b"f", b"x")
    os.setxattr(f, "user.big", bytes(3000))
    os.setxattr(f, "user.small", b"small")
    with working(ends.source, small_ext4) as attempt:
        outcome = copy(attempt, action_on(ends.source, b"f"), 0)
    assert outcome.status == Status.COPIED
    assert outcome.lost
    assert outcome.lost.kinds == Loss.XATTR
    assert "No space left on device" in outcome.lost.words
    assert xattrs_of(small_ext4 / "f") == {"user.small": b"small"}


@pytest.fixture
def small_ext4(tmp_path):
    """Give an ext4 that holds a kilobyte of attributes a file."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    image.write_bytes(b"")
    os.truncate(image, 16 << 20)
    make = ["mkfs.ext4", "-q", "-b", "1024", str(image)]
    try:
        subprocess.run(make, check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as err:
        pytest.skip(f"no loop mount here: {err}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_the_acl_that_the_tests_make_is_one_that_the_kernel_takes(tmp_path):
    f = put(tmp_path, b"f", mode=0o640)
    os.setxattr(f, ACCESS, acl(0o640, 4_000_000_000))
    assert os.stat(f).st_mode & 0o777 == 0o640
    assert struct.unpack("<I", os.getxattr(f, ACCESS)[:4]) == (2,)
