"""A symbolic link is made as it is, whatever is in its place, and a directory once."""

import os

import pytest

from haulage.errors import BlockedError, UnstableError, VanishedError
from haulage.model import Kind, Status, Verb
from haulage.verbs.dirs import mkdir
from haulage.verbs.link import link
from tests.engine_builders import OLD_NS, action_on, put, read
from tests.trees.compare import assert_same


@pytest.mark.parametrize(
    "to", [b"/etc", b"..", b"x" * 4000, b"\xff\n", b"nowhere", b"dir/"]
)
def test_a_link_has_its_target_its_time_and_its_owner(ends, to):
    os.symlink(to, ends.source / "l")
    if os.geteuid() == 0:
        os.lchown(ends.source / "l", 1234, 4321)
    os.utime(ends.source / "l", ns=(OLD_NS, OLD_NS), follow_symlinks=False)
    outcome = link(ends.attempt, action_on(ends.source, b"l", Verb.LINK), 0)
    assert outcome.status == Status.MADE
    assert os.readlink(os.fsencode(ends.target / "l")) == to
    for end in (ends.source, ends.target):
        os.utime(end, ns=(0, 0))
    assert_same(ends.source, ends.target)


def test_a_link_replaces_a_file_and_a_link_and_not_their_content(ends, tmp_path):
    (ends.source / "d").mkdir()
    (ends.source / "d" / "l").symlink_to("new")
    victim = put(tmp_path, b"victim", b"precious")
    action = action_on(ends.source, b"d/l", Verb.LINK)
    for number in range(2):
        os.makedirs(ends.target / "d", exist_ok=True)
        (ends.target / "d" / "l").unlink(missing_ok=True)
        (os.symlink, os.link)[number](victim, ends.target / "d" / "l")
        link(ends.attempt, action, 0)
        assert os.readlink(ends.target / "d" / "l") == "new"
    assert read(tmp_path, b"victim") == b"precious"


def test_a_link_that_a_directory_blocks_is_told_and_leaves_no_temporary(ends):
    (ends.source / "l").symlink_to("new")
    put(ends.target, b"l/x", b"content")
    with pytest.raises(BlockedError):
        link(ends.attempt, action_on(ends.source, b"l", Verb.LINK), 0)
    assert read(ends.target, b"l/x") == b"content"


def test_a_link_that_could_not_be_read_has_vanished(ends):
    (ends.source / "l").symlink_to("x")
    with pytest.raises(VanishedError):
        link(ends.attempt, action_on(ends.source, b"l", Verb.LINK, target=None), 0)


def test_a_link_is_made_as_the_source_has_it_now_and_never_as_it_was(ends):
    (ends.source / "d").mkdir()
    link_there = ends.source / "d" / "current"
    link_there.symlink_to("releases/1")
    late = action_on(ends.source, b"d/current", Verb.LINK)
    os.rename(ends.source / "d", ends.source / "was")  # what is kept open is of before
    (ends.source / "d").mkdir()
    link_there.symlink_to("releases/2")
    outcome = link(ends.attempt, late, 0)
    assert os.readlink(ends.target / "d" / "current") == "releases/2"
    assert outcome.entry is not None
    assert outcome.entry.target == b"releases/2"
    assert outcome.entry.ino == os.lstat(link_there).st_ino
    link_there.unlink()
    for gone, error in ((True, VanishedError), (False, UnstableError)):
        if not gone:
            put(ends.source, b"d/current", b"a file now")
        with pytest.raises(error):
            link(ends.attempt, late, 1)
        assert os.readlink(ends.target / "d" / "current") == "releases/2"


def test_a_directory_that_is_none_any_more_replaces_nothing(ends):
    (ends.source / "d").mkdir()
    late = action_on(ends.source, b"d/", Verb.MKDIR)
    (ends.source / "d").rmdir()
    put(ends.target, b"d", b"what a later run copied")
    for gone, error in ((True, VanishedError), (False, UnstableError)):
        if not gone:
            put(ends.source, b"d", b"what a later run copied")
        with pytest.raises(error):
            mkdir(ends.attempt, late, 0)
        assert read(ends.target, b"d") == b"what a later run copied"


def test_a_directory_is_made_once(ends):
    (ends.source / "a" / "b").mkdir(parents=True)
    unknown = {"was_mtime_s": 0, "was_mtime_ns": 0}
    action = action_on(ends.source, b"a/b/", Verb.MKDIR, **unknown)
    assert action.kind == Kind.DIR
    for _ in range(2):
        assert mkdir(ends.attempt, action, 0).status == Status.MADE
        assert os.listdir(ends.target / "a") == ["b"]
    known = action_on(ends.source, b"a/b/", Verb.MKDIR)
    assert mkdir(ends.attempt, known, 0).status == Status.UPDATED
    assert mkdir(ends.attempt, known._replace(path=b""), 0).status == Status.UPDATED
