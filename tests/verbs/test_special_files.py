import os
import stat

import pytest

from haulage.errors import BlockedError, UnstableError, VanishedError
from haulage.model import Kind, Outcome, Status, Verb
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.verbs.delete import delete
from haulage.verbs.perform import perform
from haulage.verbs.special_file import special_file
from haulage.verbs.verify import verify
from tests.engine_builders import OLD_NS, action_on, as_nobody, preserve, put, working
from tests.trees.attributes import acl
from tests.trees.compare import assert_same

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may set these")
_TYPES = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK}


def planted(root, name: bytes, kind: int, device: int = 0) -> bytes:
    full = os.path.join(os.fsencode(root), name)
    os.mknod(full, kind | 0o600, device)
    os.chmod(full, 0o641)
    os.utime(full, ns=(OLD_NS, OLD_NS))
    return full


def made(ends, path: bytes = b"n", **fields) -> Outcome:
    return special_file(
        ends.attempt, action_on(ends.source, path, Verb.SPECIAL, **fields), 0
    )


def same_roots(ends) -> None:
    for root in (ends.source, ends.target):
        os.utime(root, ns=(0, 0))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", _TYPES)
@pytest.mark.parametrize("there", ["nothing", "file", "directory", "fifo", "link"])
def test_a_special_file_is_made_whatever_stands_in_its_place(ends, kind, there):
    planted(ends.source, b"n", _TYPES[kind])
    place = ends.target / "n"
    if there == "file":
        put(ends.target, b"n", b"x")
    elif there == "directory":
        place.mkdir()
    elif there == "fifo":
        os.mkfifo(place)
    elif there == "link":
        place.symlink_to(ends.source / "elsewhere")
    assert made(ends) == Outcome(Status.MADE)
    same_roots(ends)
    assert_same(ends.source, ends.target)
    assert not (ends.source / "elsewhere").exists()


@needs_root
@pytest.mark.parametrize("device", [(1, 3), (0, 0), (259, 300_000)])
@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_keeps_its_number_owner_and_attributes(ends, kind, device):
    full = planted(ends.source, b"d", kind, os.makedev(*device))
    os.chown(full, 12, 2**32 - 2)
    os.chmod(full, 0o4641)
    os.setxattr(full, "trusted.t", b"t")
    os.setxattr(full, "system.posix_acl_access", acl(0o641, 77))
    os.utime(full, ns=(OLD_NS, -5))
    action = action_on(ends.source, b"d", Verb.SPECIAL)
    assert action.target == b"%d:%d" % device
    assert special_file(ends.attempt, action, 0) == Outcome(Status.MADE)
    same_roots(ends)
    assert_same(ends.source, ends.target)
    assert verify(ends.attempt, action, 0).status == Status.VERIFIED


def test_what_is_gone_or_of_another_type_is_not_made(ends):
    full = planted(ends.source, b"n", stat.S_IFIFO)
    action = action_on(ends.source, b"n", Verb.SPECIAL)
    os.unlink(full)
    with pytest.raises(VanishedError):
        special_file(ends.attempt, action, 0)
    put(ends.source, b"n", b"a file now")
    with pytest.raises(UnstableError, match="another type"):
        special_file(ends.attempt, action, 0)
    assert os.listdir(ends.target) == []


def test_what_changed_since_it_was_listed_is_made_and_recorded_as_it_is_now(ends):
    full = planted(ends.source, b"n", stat.S_IFIFO)
    action = action_on(ends.source, b"n", Verb.SPECIAL)
    os.chmod(full, 0o600)
    outcome = special_file(ends.attempt, action, 0)
    assert outcome.entry is not None
    assert (outcome.entry.mode, outcome.entry.kind) == (0o600, Kind.FIFO)
    assert stat.S_IMODE(os.lstat(ends.target / "n").st_mode) == 0o600


def test_a_directory_with_content_is_in_the_way(ends):
    planted(ends.source, b"n", stat.S_IFIFO)
    put(ends.target, b"n/inside", b"x")
    with pytest.raises(BlockedError):
        made(ends)


@needs_root
def test_who_is_not_root_is_told_that_devices_are_root_s(commons):
    source, target = commons / "source", commons / "target"
    for root in (source, target):
        root.mkdir()
        root.chmod(0o777)
    planted(source, b"d", stat.S_IFCHR, os.makedev(1, 3))
    action = action_on(source, b"d", Verb.SPECIAL)

    def outcome_of() -> Outcome:
        with working(source, target) as attempt:
            return next(iter(perform(attempt, [action])))

    outcome = as_nobody(outcome_of)
    assert outcome.status == Status.FAILED
    assert "a character device cannot be made here" in outcome.reason
    assert os.listdir(target) == []


def test_without_mode_and_times_it_is_as_any_new_file_and_known_again(ends):
    planted(ends.source, b"n", stat.S_IFIFO)
    preserve(ends.attempt, Preserved.named(["owner"]))
    umask = os.umask(0o022)
    try:
        outcome = made(ends)
    finally:
        os.umask(umask)
    found = os.lstat(ends.target / "n")
    assert stat.S_IMODE(found.st_mode) == 0o644
    assert outcome.made == b"mtime %d" % found.st_mtime_ns
    action = action_on(ends.source, b"n", Verb.DELETE, made=outcome.made)
    os.unlink(ends.source / "n")
    put(ends.source, b"other")
    assert delete(ends.attempt, action, 0).status == Status.DELETED


def test_one_that_was_changed_in_the_target_is_not_deleted(ends):
    planted(ends.source, b"n", stat.S_IFIFO)
    made(ends)
    action = action_on(ends.source, b"n", Verb.DELETE)
    os.unlink(ends.source / "n")
    os.utime(ends.target / "n", ns=(0, 0))
    assert delete(ends.attempt, action, 0).status == Status.KEPT
