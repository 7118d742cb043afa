import os
import stat

import pytest

from haulage.model import PRESERVED, Preserve, Status, Verb
from haulage.storage.tree.metadata.preserve import PRESERVE_ALL, Preserved
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.dirs import finish_dir
from haulage.verbs.link import link
from haulage.verbs.meta import meta
from haulage.verbs.parts import part, publish
from haulage.verbs.verify import verify
from tests.engine_builders import OLD_NS, action_on, checksum_of, preserve, put
from tests.stores import RANGE

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives away files")


def keeping(ends, *names: str) -> None:
    preserve(ends.attempt, Preserved.named(names))


def test_by_default_all_is_kept():
    assert (
        Preserved.named(PRESERVED)
        == Preserved.named(list(Preserve))
        == Preserved()
        == PRESERVE_ALL
    )
    assert Preserved.named([]) == Preserved(
        mode=False, owner=False, times=False, xattrs=False, acls=False, sparse=False
    )


@needs_root
@pytest.mark.parametrize("name", ["mode", "owner", "times", "xattrs"])
def test_attributes_that_are_not_kept_stay_as_they_are_in_the_target(ends, name):
    for root, owner, mode, mtime_ns, value in (
        (ends.source, (12, 34), 0o600, OLD_NS, b"new"),
        (ends.target, (56, 78), 0o755, OLD_NS - 1, b"old"),
    ):
        f = put(root, b"f", b"x", owner=owner, mode=mode)
        os.setxattr(f, "user.a", value)
        os.utime(f, ns=(mtime_ns, mtime_ns))
    keeping(ends, *(set(Preserve) - {name, "acls"}))
    action = action_on(ends.source, b"f", Verb.META, was_mtime_ns=123_456_788)
    was = os.stat(ends.target / "f")
    assert meta(ends.attempt, action, 0).status == Status.UPDATED
    now, source = os.stat(ends.target / "f"), os.stat(ends.source / "f")
    for kept, of in (
        ("mode", lambda found: found.st_mode),
        ("owner", lambda found: (found.st_uid, found.st_gid)),
        ("times", lambda found: found.st_mtime_ns),
    ):
        assert of(now) == (of(was) if name == kept else of(source))
    value = os.getxattr(ends.target / "f", "user.a")
    assert value == (b"old" if name == "xattrs" else b"new")


@needs_root
def test_what_differs_only_in_what_is_not_kept_is_unchanged(ends):
    put(ends.source, b"f", b"x", owner=(12, 34), mode=0o600)
    put(ends.target, b"f", b"x", owner=(56, 78), mode=0o644)
    keeping(ends, "times", "xattrs")
    ctime_ns = os.stat(ends.target / "f").st_ctime_ns
    for do in (meta, check):
        action = action_on(ends.source, b"f", checksum=checksum_of(b"x"))
        assert do(ends.attempt, action, 0).status == Status.UNCHANGED
    assert os.stat(ends.target / "f").st_ctime_ns == ctime_ns


@needs_root
def test_nothing_that_is_not_kept_fails_a_verification(ends):
    put(ends.source, b"f", b"x", owner=(12, 34), mode=0o6711)
    (ends.source / "l").symlink_to("to")
    for names in ([], ["mode"], ["owner"], ["times"], ["mode", "owner", "times"]):
        keeping(ends, *names)
        for do, path in ((copy, b"f"), (link, b"l")):
            outcome = do(ends.attempt, action_on(ends.source, path), 0)
            assert outcome.lost is None
            sent = action_on(
                ends.source, path, made=outcome.made, checksum=outcome.checksum
            )
            proof = verify(ends.attempt, sent, 0)
            assert (proof.status, proof.made) == (Status.VERIFIED, outcome.made)


def test_a_file_with_times_of_its_own_is_known_again_by_them(ends):
    f = put(ends.source, b"f", b"x")
    keeping(ends, "mode")
    outcome = copy(ends.attempt, action_on(ends.source, b"f"), 0)
    found = os.stat(ends.target / "f")
    assert outcome.made == b"mtime %d" % found.st_mtime_ns
    assert found.st_mtime_ns != OLD_NS
    os.chmod(f, 0o600)
    again = meta(ends.attempt, action_on(ends.source, b"f", made=outcome.made), 0)
    assert (again.status, again.made) == (Status.UPDATED, outcome.made)
    os.utime(ends.target / "f", ns=(7, 7))
    replaced = meta(ends.attempt, action_on(ends.source, b"f", made=outcome.made), 0)
    assert replaced.status == Status.COPIED


def test_times_that_are_asked_for_later_are_set_on_what_was_made_without(ends):
    put(ends.source, b"f", b"x")
    keeping(ends, "mode")
    outcome = copy(ends.attempt, action_on(ends.source, b"f"), 0)
    keeping(ends, *PRESERVED)
    later = meta(ends.attempt, action_on(ends.source, b"f", made=outcome.made), 0)
    assert (later.status, later.made) == (Status.UPDATED, None)
    assert os.stat(ends.target / "f").st_mtime_ns == OLD_NS


@pytest.mark.usefixtures("small_ranges")
def test_a_split_file_is_published_with_what_is_kept(ends):
    content = os.urandom(RANGE + 5000)
    put(ends.source, b"f", content, mode=0o604)
    keeping(ends, "mode")
    ranges = [{"offset": 0, "length": RANGE}, {"offset": RANGE, "length": 5000}]
    parts = [action_on(ends.source, b"f", Verb.PART, **piece) for piece in ranges]
    for piece in parts:
        part(ends.attempt, piece, 0)
    outcome = publish(ends.attempt, parts[0], 0, parts)
    found = os.stat(ends.target / "f")
    assert stat.S_IMODE(found.st_mode) == 0o604
    assert outcome.made == b"mtime %d" % found.st_mtime_ns
    assert (ends.target / "f").read_bytes() == content


@needs_root
def test_a_directory_gets_only_what_is_kept(ends):
    for root, mode in ((ends.source, 0o2751), (ends.target, 0o700)):
        (root / "d").mkdir()
        (root / "d").chmod(mode)
    os.chown(ends.source / "d", 12, 34)
    os.chmod(ends.source / "d", 0o2751)
    keeping(ends, "times")
    os.utime(ends.source / "d", ns=(OLD_NS, OLD_NS))
    assert finish_dir(ends.attempt, action_on(ends.source, b"d/"), 0).lost is None
    found = os.stat(ends.target / "d")
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o700)
    assert found.st_mtime_ns == OLD_NS
    keeping(ends, "mode")
    finish_dir(ends.attempt, action_on(ends.source, b"d/"), 0)
    mode = stat.S_IMODE(os.stat(ends.target / "d").st_mode)
    assert mode == 0o751, "a set-id bit goes with the owner"
