import os

import pytest

from haulage.errors import (
    FatalError,
    PermanentError,
    UnstableError,
    VanishedError,
)
from haulage.model import Kind, Loss, Lost, Status, Verified
from haulage.storage.store import Made, Seen
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.dirs import finish_dir, mkdir
from haulage.verbs.link import link
from haulage.verbs.meta import meta
from tests.engine_builders import checksum_of, entry
from tests.stores import MIB, PART, carrying, objects_shelf, open_descriptors
from tests.verbs.ways import Way, action_of

LARGE = os.urandom(1 << 16) * (PART >> 16) + b"and more"
NAMES = [b"f", b"a b/c", b"latin-\xe4/\xff", b"d/e/" + "Grüße".encode()]


def test_a_copy_has_every_byte_and_every_attribute(way):
    for size, path in enumerate(NAMES):
        content = os.urandom(size)
        seen = way.put(path, content, mode=0o4751, mtime_s=-7, mtime_ns=3).entry
        outcome = copy(way.attempt, way.listed(path), 0)
        assert (outcome.status, outcome.moved) == (Status.COPIED, size)
        assert outcome.checksum == checksum_of(content)
        assert outcome.entry == seen
        assert way.content(path) == content
        found = way.arrived(path)
        assert (found.mode, found.mtime_s, found.mtime_ns) == (0o4751, -7, 3)
        assert found.etag == outcome.made
    assert way.attempt.moved == sum(range(len(NAMES)))


def test_a_large_entry_is_moved_in_ranges(way):
    way.put(b"large", LARGE, mode=0o640)
    before = open_descriptors()
    outcome = copy(way.attempt, way.listed(b"large"), 0)
    assert outcome.checksum == checksum_of(LARGE)
    assert (outcome.status, outcome.moved) == (Status.COPIED, len(LARGE))
    assert way.content(b"large") == LARGE
    assert way.arrived(b"large").mode == 0o640
    assert list(way.target.bucket.uploads("") if way.target.bucket else []) == []
    assert open_descriptors() <= before + 8  # of connections


def test_the_version_that_is_there_now_is_copied_whatever_its_size(way):
    for was, now in ((b"1", b"22"), (b"22", b"1"), (b"1", LARGE), (LARGE, b"1")):
        way.put(b"f", was)
        action = way.listed(b"f")
        seen = way.put(b"f", now, mtime_s=1_600_000_000).entry
        outcome = copy(way.attempt, action, 0)
        assert outcome.entry == seen
        assert way.content(b"f") == now
        assert outcome.checksum == checksum_of(now)


def test_what_is_gone_has_vanished_and_gives_its_room_back(way):
    way.put(b"f")
    gone = way.listed(b"f")._replace(path=b"gone")
    for action in (gone, gone._replace(size=2 * PART)):
        for verb in (copy, check, meta):
            with pytest.raises(VanishedError):
                verb(way.attempt, action, 0)


def test_a_link_is_an_object_and_becomes_a_link_again(way):
    way.put(b"d/link", kind=Kind.SYMLINK, target=b"to/\xff", size=4)
    action = way.listed(b"d/link")
    verb = link if action.kind == Kind.SYMLINK else copy
    outcome = verb(way.attempt, action, 0)
    assert outcome.status is Status.MADE
    found = way.arrived(b"d/link")
    assert (found.kind, found.target) == (Kind.SYMLINK, b"to/\xff")
    assert outcome.made == found.etag


def test_what_is_no_link_or_directory_any_more_replaces_nothing(way):
    way.put(b"l", kind=Kind.SYMLINK, target=b"old", size=3)
    way.put(b"d/")
    late, late_dir = way.listed(b"l"), way.listed(b"d/")
    from_tree = way.source.root is not None
    for path in (b"l", b"d"):
        made = entry(path, size=8, uid=os.geteuid(), gid=os.getegid())
        way.attempt.target.write(path, 0, b"precious", Seen(made))
    if from_tree:
        os.unlink(way.source.root / "l")
        with pytest.raises(VanishedError):
            link(way.attempt, late, 1)
        os.rmdir(way.source.root / "d")
    way.put(b"l")
    way.put(b"d")
    if from_tree:
        with pytest.raises(UnstableError):
            link(way.attempt, late, 1)
    with pytest.raises((UnstableError, VanishedError)):
        mkdir(way.attempt, late_dir, 2)
    assert way.arrived(b"l").kind == way.arrived(b"d").kind == Kind.FILE


class Failing:
    """A target that fails when it is to make something."""

    takes_ranges = True
    has_directories = False

    def __init__(self, error):
        self.error = error

    def copy_within(self, source, action, row):
        return None

    def write(self, *args):
        raise self.error

    def begin(self, *args, **named):
        raise self.error

    def link(self, *args):
        raise self.error

    def close(self):
        pass


@pytest.mark.parametrize("size", [5, PART + 5])
def test_what_fails_at_the_target_leaves_nothing_open_or_held(way, size):
    way.put(b"f", bytes(size))
    action = way.listed(b"f")
    before = open_descriptors()
    for error in (FatalError("full"), PermanentError("no"), OSError(28, "full")):
        source = way.source.open()
        with carrying(source, Failing(error)) as one, pytest.raises(type(error)):
            copy(one, action, 0)
    assert open_descriptors() <= before + 8  # of connections


class Growing:
    """A source whose file is longer whenever it is opened."""

    def __init__(self, way, sizes):
        self._way, self._sizes = way, list(sizes)
        self._store = way.attempt.source

    def open(self, path, size, etag=None):
        self._way.put(path, bytes(self._sizes.pop(0)))
        return self._store.open(path, size, etag)

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_a_file_that_grows_is_opened_anew_and_not_for_ever(way):
    way.put(b"f", b"")
    action = way.listed(b"f")
    way.attempt.source, kept = Growing(way, [5, 5]), way.attempt.source
    assert copy(way.attempt, action, 0).moved == 5
    way.attempt.source = kept
    way.put(b"f", b"")
    way.attempt.source = Growing(way, [1, 2, 3, 4, 5])
    with pytest.raises(UnstableError, match="grew"):
        copy(way.attempt, action, 0)
    way.attempt.source = kept


def copied(way, path, content=b"content", **fields):
    way.put(path, content, **fields)
    return copy(way.attempt, way.listed(path), 0)


def test_equal_content_gets_its_attributes_and_is_not_sent(way):
    outcome = copied(way, b"f")
    way.put(b"f", mode=0o600, mtime_s=1_600_000_000)
    action = way.known(b"f", outcome, was_mtime_s=1_500_000_000, was_mtime_ns=5)
    checked = check(way.attempt, action, 0)
    assert (checked.status, checked.checksum) == (Status.UPDATED, outcome.checksum)
    assert checked.made == way.arrived(b"f").etag
    assert way.arrived(b"f").mode == 0o600
    again = way.known(b"f", checked, checksum=None)
    unknown = check(way.attempt, again, 0)
    assert (unknown.status, unknown.verified) == (Status.UNCHANGED, Verified.CHECKSUM)


def test_other_content_is_copied_after_a_look(way):
    outcome = copied(way, b"f")
    for content in (b"CONTENT", b"longer content"):
        way.put(b"f", content, mtime_s=1_600_000_000)
        action = way.known(b"f", outcome)
        outcome = check(way.attempt, action, 0)
        assert outcome.status is Status.COPIED
        assert way.content(b"f") == content


def test_a_large_entry_that_changed_its_size_is_copied_without_waiting_for_itself(way):
    way.put(b"f", b"small")
    listed = way.listed(b"f")
    way.put(b"f", LARGE)
    way.attempt.room.take(48 * MIB)  # what is left is what one range needs
    outcome = check(way.attempt, listed, 0)
    way.attempt.room.give_back(48 * MIB)
    assert outcome.status is Status.COPIED
    assert way.content(b"f") == LARGE


def test_attributes_alone_move_nothing(way):
    outcome = copied(way, b"f")
    way.put(b"f", mode=0o600)
    action = way.known(b"f", outcome)
    moved = way.attempt.moved
    done = meta(way.attempt, action, 0)
    assert (done.status, done.checksum) == (Status.UPDATED, outcome.checksum)
    assert (way.arrived(b"f").mode, way.attempt.moved) == (0o600, moved)
    assert meta(way.attempt, way.known(b"f", done), 0).status is Status.UNCHANGED


@pytest.mark.parametrize("way", ["from a bucket"], indirect=True)
@pytest.mark.parametrize("verb", [meta, check])
@pytest.mark.parametrize("content", [b"content", LARGE], ids=["small", "large"])
def test_attributes_of_one_name_of_several_make_it_a_file_of_its_own(
    way, verb, content
):
    outcome = copied(way, b"f", content)
    root = way.target.root
    os.link(root / "f", root / "other")
    other = os.stat(root / "other")
    way.put(b"f", content, mode=0o600)
    done = verb(way.attempt, way.known(b"f", outcome), 0)
    assert (done.status, done.checksum) == (Status.COPIED, outcome.checksum)
    assert (done.verified, done.moved) == (Verified.NONE, 0)
    assert (way.arrived(b"f").mode, way.arrived(b"f").nlink) == (0o600, 1)
    assert way.content(b"f") == content
    after = os.stat(root / "other")
    assert (after.st_mode, after.st_ino) == (other.st_mode, other.st_ino)


@pytest.mark.parametrize("way", ["from a bucket"], indirect=True)
def test_what_is_not_what_we_made_is_never_taken_for_it(way):
    outcome = copied(way, b"f")
    root = way.target.root
    was = os.stat(root / "f")
    (root / "f").write_bytes(b"CONTENT")
    os.utime(root / "f", ns=(was.st_atime_ns, was.st_mtime_ns))
    os.link(root / "f", root / "other")
    way.put(b"f", mode=0o600)
    done = meta(way.attempt, way.known(b"f", outcome), 0)
    assert (done.status, done.moved) == (Status.COPIED, 7)
    assert way.content(b"f") == b"content"


def test_a_change_behind_the_listing_is_never_taken_for_new_attributes(way):
    outcome = copied(way, b"f")
    way.put(b"f", mode=0o600)
    action = way.known(b"f", outcome)
    way.put(b"f", b"CONTENT", mode=0o600, mtime_s=1_600_000_000)
    assert meta(way.attempt, action, 0).status is Status.COPIED
    assert way.content(b"f") == b"CONTENT"


def test_a_target_that_somebody_changed_is_copied_anew(way):
    outcome = copied(way, b"f")
    action = way.known(b"f", outcome)
    seen = way.look(b"f")
    way.attempt.target.write(
        b"f",
        9,
        b"foreign",
        seen._replace(entry=seen.entry._replace(mtime_s=1, etag=None)),
    )
    assert meta(way.attempt, action, 0).status is Status.COPIED
    assert way.content(b"f") == b"content"


def test_a_directory_has_its_attributes_at_the_end(way):
    way.put(b"d/f")
    way.put(b"d/", mode=0o2750)
    assert mkdir(way.attempt, way.listed(b"d/"), 0).status is Status.MADE
    copy(way.attempt, way.listed(b"d/f"), 1)
    done = finish_dir(way.attempt, way.listed(b"d/"), 2)
    found = way.arrived(b"d/")
    assert (done.status, found.mode, found.mtime_s) == (
        Status.UPDATED,
        0o2750,
        1_500_000_000,
    )
    assert done.made == found.etag
    assert done.entry
    assert done.entry.path == b"d/"


def test_a_directory_that_is_gone_has_vanished_or_is_implied(way):
    way.put(b"d/")
    gone = way.listed(b"d/")._replace(path=b"gone/")
    if way.source.root is not None:
        with pytest.raises(VanishedError):
            finish_dir(way.attempt, gone, 0)
        return
    mkdir(way.attempt, gone, 0)
    assert finish_dir(way.attempt, gone, 1).status is Status.UPDATED
    assert way.arrived(b"gone/").mode == 0o755


def test_only_what_stands_for_a_directory_goes_from_bucket_to_bucket(
    moto_s3, bucket, tmp_path
):
    shelf = objects_shelf(moto_s3, bucket(moto_s3), tmp_path)
    source, target = shelf.open(prefix="from"), shelf.open(prefix="to")
    with carrying(source, target) as attempt:
        way = Way(shelf, shelf, attempt)
        way.put(b"implied/f")
        way.put(b"real/", mode=0o700)
        implied = action_of(source.implied(b"implied/").entry)
        assert mkdir(attempt, implied, 0).status is Status.ABSENT
        assert mkdir(attempt, way.listed(b"real/"), 1).status is Status.MADE
        outcome = copy(attempt, way.listed(b"implied/f"), 2)
        assert (outcome.status, outcome.moved, outcome.checksum) == (
            Status.COPIED,
            7,
            None,
        )
        assert outcome.verified is Verified.METADATA
    keys = shelf.bucket.page("to/").keys
    assert list(keys) == ["to/implied/f", "to/real/"]
    assert shelf.bucket.head("to/real/").metadata["mode"] == "40700"


def test_what_could_not_be_kept_is_told(way, monkeypatch):
    way.put(b"f")
    target = way.attempt.target
    lost = Lost(Loss.OWNER, "owner not kept")
    monkeypatch.setattr(target, "write", lambda *_: Made(lost=lost))
    outcome = copy(way.attempt, way.listed(b"f"), 0)
    assert outcome.lost == lost
