"""What every store promises, on a directory tree and on the servers of buckets.

What a weak server cannot do is told in `WEAK`.
"""

import os
import stat
import threading

import pytest
import xxhash

from haulage.errors import (
    BlockedError,
    MismatchError,
    PermanentError,
    UnstableError,
    VanishedError,
)
from haulage.model import Action, Kind, Status
from haulage.storage.resumable import Done, begun
from haulage.storage.store import Extent, Seen
from tests.engine_builders import checksum_of, entry
from tests.stores import PART, files_shelf, objects_shelf, open_descriptors

WEAK = "rclone"  # no directory markers, no `-N` etags
LARGE = os.urandom(1 << 16) * (PART >> 16) + b"and five"


@pytest.fixture(
    params=[
        *("files", "moto_s3", "localstack", "rclone_s3", "versitygw"),
        pytest.param("minio", marks=pytest.mark.torture),
    ]
)
def shelf(request, tmp_path):
    if request.param == "files":
        return files_shelf(tmp_path)
    server = request.getfixturevalue(request.param)
    name = request.getfixturevalue("bucket")(server)
    return objects_shelf(server, name, tmp_path)


@pytest.fixture
def store(shelf):
    made = shelf.open()
    yield made
    made.close()


def seen_for(path, content=b"", **fields):
    values = {"size": len(content), "uid": os.geteuid(), "gid": os.getegid()}
    return Seen(entry(path, **(values | fields)))


def made_of(path, content, made, **fields):
    """Return the action of somebody who knows what was made."""
    known = seen_for(path, content, **fields).entry._asdict()
    known |= {"verb": 0, "checksum": None, "verified": 0, "racy": False}
    known |= {"made": made.etag, "was_mtime_s": known["mtime_s"], "offset": 0}
    return Action(**known, was_mtime_ns=known["mtime_ns"], length=len(content))


def write(store, path, content, **fields):
    return store.write(path, 0, content, seen_for(path, content, **fields))


def read(store, path):
    seen = store.look(path)
    with store.open(path, seen.entry.size, seen.entry.etag) as reading:
        content = bytes(reading.read(Extent(0, seen.entry.size)))
        reading.confirm()
    return content


def send(writing, content, only=None):
    for offset in range(0, len(content), PART):
        if only is None or offset in only:
            piece = content[offset : offset + PART]
            writing.write(offset, piece, Done(xxhash.xxh3_128_digest(piece)))


def leftovers(shelf):
    if shelf.root is None:
        return [upload.key for upload in shelf.bucket.uploads("")]
    names = [name for _, _, names in os.walk(shelf.root) for name in names]
    return [name for name in names if name.startswith(".haulage-")]


def test_what_is_written_is_seen_and_read_with_its_attributes(store):
    paths = [b"plain", b"a/b/c", b"Gr\xc3\xbc\xc3\x9fe", b"latin-\xe4/\xff\xfe", b"a b"]
    for path in paths:
        made = write(store, path, path, mode=0o640, mtime_s=-1, mtime_ns=999_999_999)
        seen = store.look(path).entry
        assert (seen.path, seen.kind, seen.size) == (path, Kind.FILE, len(path))
        assert (seen.mode, seen.mtime_s, seen.mtime_ns) == (0o640, -1, 999_999_999)
        assert seen.etag == made.etag
        assert made.lost is None
        assert read(store, path) == path


def test_an_empty_entry_is_an_entry(store):
    write(store, b"empty", b"")
    assert store.look(b"empty").entry.size == 0
    assert read(store, b"empty") == b""


@pytest.mark.parametrize("mtime_s", [1 - (1 << 31), 0, 9_300_000_000])
def test_times_before_1970_and_after_2262_are_kept(store, mtime_s):
    write(store, b"old", b"x", mtime_s=mtime_s, mtime_ns=1)
    seen = store.look(b"old").entry
    assert (seen.mtime_s, seen.mtime_ns) == (mtime_s, 1)


def test_set_id_bits_and_owner_that_we_wrote_come_back(store):
    if os.geteuid():
        pytest.skip("only root gives files away")
    write(store, b"tool", b"x", mode=0o6755, uid=12, gid=34)
    seen = store.look(b"tool").entry
    assert (seen.mode, seen.uid, seen.gid) == (0o6755, 12, 34)


def test_what_is_not_there_is_not_seen_and_can_not_be_opened(store):
    assert store.look(b"nothing") is None
    assert store.look(b"no/thing") is None
    for size in (3, 3 * PART):
        with pytest.raises(VanishedError):
            store.open(b"nothing", size)


def test_a_range_is_exactly_what_was_asked_for(store):
    write(store, b"digits", b"0123456789")
    with store.open(b"digits", 10) as reading:
        assert bytes(reading.read(Extent(3, 4))) == b"3456"
        assert bytes(reading.read(Extent(0, 0))) == b""


def test_less_than_was_asked_for_is_unstable(store):
    write(store, b"short", b"0123")
    with store.open(b"short", 4) as reading, pytest.raises(UnstableError):
        reading.read(Extent(2, 4))


def test_another_version_is_opened_and_says_so(store):
    was = write(store, b"key", b"one").etag
    write(store, b"key", b"another")
    with store.open(b"key", 3, was) as reading:
        assert reading.seen.entry.size == 7
        assert reading.seen.entry.etag in (None, store.look(b"key").entry.etag)
        assert bytes(reading.read(Extent(0, 7))) == b"another"


def test_a_symbolic_link_comes_back_as_one(store):
    for target in (b"../else/where", b"not-utf-8-\xff", b"x" * 4095):
        link = entry(b"a/link", kind=Kind.SYMLINK, mode=0o777, target=target, size=1)
        store.link(b"a/link", 0, Seen(link))
        seen = store.look(b"a/link").entry
        assert (seen.kind, seen.target) == (Kind.SYMLINK, target)
        assert (seen.mtime_s, seen.mtime_ns) == (link.mtime_s, link.mtime_ns)


def test_a_link_whose_target_could_not_be_read_has_vanished(store):
    with pytest.raises(VanishedError):
        store.link(b"link", 0, Seen(entry(b"link", kind=Kind.SYMLINK)))


def test_a_directory_gets_its_attributes_when_it_is_finished(store, shelf):
    store.make_dir(b"d/e/", 0)
    write(store, b"d/e/file", b"x")
    made = store.finish_dir(b"d/e/", seen_for(b"d/e/", mode=0o2750))
    if shelf.name == WEAK:
        assert "no object for a directory" in made.lost.words
        return
    assert made.lost is None
    seen = store.look(b"d/e/").entry
    assert (seen.kind, stat.S_IMODE(seen.mode)) == (Kind.DIR, 0o2750)
    assert (seen.mtime_s, seen.mtime_ns) == (1_500_000_000, 5)


def test_the_root_is_finished_without_a_word(store):
    assert store.finish_dir(b"", seen_for(b"")) is not None


def test_an_empty_root_is_told_from_one_that_holds_something(store):
    assert store.is_empty()
    write(store, b"a/b", b"x")
    assert not store.is_empty()


def test_attributes_are_set_on_what_we_made_and_on_nothing_else(store):
    made = write(store, b"f", b"content")
    wanted = seen_for(b"f", b"content", mode=0o600, mtime_s=7)
    same = store.set_attributes(
        made_of(b"f", b"content", made), seen_for(b"f", b"1234567")
    )
    assert same.changed is False
    done = store.set_attributes(made_of(b"f", b"content", made), wanted)
    assert done.changed
    seen = store.look(b"f").entry
    assert (seen.mode, seen.mtime_s, seen.etag) == (0o600, 7, done.etag)
    assert read(store, b"f") == b"content"
    write(store, b"f", b"CONTENT", mtime_s=8)
    assert store.set_attributes(made_of(b"f", b"content", made), wanted) is None
    gone = made_of(b"none", b"content", made)
    assert store.set_attributes(gone, wanted) is None


def test_nothing_takes_the_name_of_a_directory_that_has_content(store):
    store.make_dir(b"d/", 0)
    store.finish_dir(b"d/", seen_for(b"d/"))
    inside = write(store, b"d/x", b"one")

    def replace_it():
        store.vacate(b"d")
        write(store, b"d", b"instead")

    with pytest.raises(BlockedError, match="a directory with content"):
        replace_it()
    store.remove(made_of(b"d/x", b"one", inside))
    replace_it()
    assert read(store, b"d") == b"instead"


def test_what_we_made_is_removed_and_what_changed_since_is_kept(store):
    made = write(store, b"mine", b"one")
    assert store.remove(made_of(b"mine", b"one", made)).status is Status.DELETED
    assert store.look(b"mine") is None
    assert store.remove(made_of(b"mine", b"one", made)).status is Status.ABSENT
    write(store, b"mine", b"two", mtime_s=9)
    kept = store.remove(made_of(b"mine", b"one", made))
    assert kept.status is Status.KEPT
    assert "changed" in kept.reason
    assert read(store, b"mine") == b"two"


def test_a_large_entry_is_there_when_it_is_finished_and_not_before(shelf, store):
    seen = seen_for(b"d/large", LARGE, mode=0o600)
    writing = store.begin(b"d/large", 0, seen, shared=False, prove=True)
    send(writing, LARGE, only=[PART])
    assert store.look(b"d/large") is None
    send(writing, LARGE, only=[0])
    made = writing.finish(seen)
    assert made.checksum == checksum_of(LARGE)
    assert made.proven
    found = store.look(b"d/large").entry
    assert (found.size, found.mode, found.etag) == (len(LARGE), 0o600, made.etag)
    with store.open(b"d/large", len(LARGE), made.etag) as reading:
        assert reading.read(Extent(PART, 8)) == b"and five"
        assert reading.read(Extent(0, PART)) == LARGE[:PART]
    assert leftovers(shelf) == []
    assert list(begun(store._ranges)) == []


@pytest.mark.parametrize("prove", [True, False])
def test_what_misses_a_range_is_never_published(shelf, store, prove):
    write(store, b"large", b"what was there")
    seen = seen_for(b"large", LARGE)
    writing = store.begin(b"large", 0, seen, shared=True, prove=prove)
    send(writing, LARGE, only=[0])
    with pytest.raises(UnstableError, match="not all"):
        writing.finish(seen)
    assert read(store, b"large") == b"what was there"
    assert leftovers(shelf) == []
    assert list(begun(store._ranges)) == []


def test_another_attempt_goes_on_with_what_is_done(shelf, store):
    seen = seen_for(b"large", LARGE)
    first = store.begin(b"large", 0, seen, shared=True, prove=True)
    send(first, LARGE, only=[PART])
    first.leave()
    later = shelf.open("bbbbbbbbbbbb")
    second = later.begin(b"large", 3, seen, shared=True, prove=True)
    assert list(second.done) == [PART]
    send(second, LARGE, only=[0])
    assert second.finish(seen).checksum == checksum_of(LARGE)
    assert leftovers(shelf) == []


def test_movers_that_begin_at_once_make_one_entry_together(shelf, store):
    seen = seen_for(b"large", LARGE)
    stores = [shelf.open(f"{number:012x}") for number in range(6)]
    together = threading.Barrier(len(stores))
    found = []

    def join(number):
        together.wait()
        writing = stores[number].begin(b"large", number, seen, shared=True, prove=True)
        send(writing, LARGE, only=[number % 2 * PART])
        writing.leave()
        found.append(begun(stores[number]._ranges, b"large"))

    threads = [threading.Thread(target=join, args=(at,)) for at in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(stores)
    assert len(leftovers(shelf)) == 1
    made = store.begin(b"large", 9, seen, shared=True, prove=True).finish(seen)
    assert made.checksum == checksum_of(LARGE)
    assert leftovers(shelf) == []


def test_the_record_of_what_is_gone_is_void(shelf, store):
    if shelf.name == "moto":
        pytest.skip("it fails at uploads that are gone")
    seen = seen_for(b"large", LARGE)
    writing = store.begin(b"large", 0, seen, shared=True)
    send(writing, LARGE, only=[0])
    writing.leave()
    if shelf.root is not None:
        (name,) = leftovers(shelf)
        (shelf.root / name).rename(shelf.root / "elsewhere")  # keeps its inode
    else:
        for upload in shelf.bucket.uploads(""):
            shelf.bucket.abort_upload(upload.key, upload.upload_id)
    again = store.begin(b"large", 0, seen, shared=True, prove=True)
    if shelf.root is not None:
        assert again.done == {}
        send(again, LARGE)
        assert again.finish(seen).checksum == checksum_of(LARGE)
    else:
        with pytest.raises(UnstableError, match="aborted"):
            send(again, LARGE, only=[PART])
        assert store.begin(b"large", 0, seen, shared=True).done == {}


def test_an_upload_that_is_gone_at_the_end_is_no_vanished_source(shelf, store):
    if shelf.root is not None:
        pytest.skip("a temporary that is open cannot be aborted")
    if shelf.name == "moto":
        pytest.skip("it fails at uploads that are gone")
    seen = seen_for(b"large", LARGE)
    writing = store.begin(b"large", 0, seen, shared=True)
    send(writing, LARGE)
    for upload in shelf.bucket.uploads(""):
        shelf.bucket.abort_upload(upload.key, upload.upload_id)
    with pytest.raises(UnstableError, match="starts over"):
        writing.finish(seen)
    assert store.begin(b"large", 0, seen, shared=True).done == {}


def test_parts_that_are_not_taken_are_not_kept_for_the_next_attempt(shelf, store):
    if shelf.root is not None:
        pytest.skip("a range of a file has no etag that could be wrong")
    seen = seen_for(b"large", LARGE)
    writing = store.begin(b"large", 0, seen, shared=True)
    send(writing, LARGE, only=[PART])
    writing._ranges.note(0, writing.done[PART]._replace(etag=b"0" * 32))
    with pytest.raises(PermanentError):
        writing.finish(seen)
    assert store.begin(b"large", 0, seen, shared=True).done == {}


def test_what_arrived_otherwise_is_a_mismatch_when_it_is_proven(shelf, store):
    seen = seen_for(b"large", LARGE)
    writing = store.begin(b"large", 0, seen, shared=True, prove=True)
    send(writing, LARGE, only=[0])
    other = Done(xxhash.xxh3_128_digest(b"and five"))
    if shelf.root is None:  # no part can be read before the object is there
        writing.write(PART, b"AND FIVE", other)
        with pytest.raises(MismatchError, match=str(PART)):
            writing.finish(seen)
        return
    with pytest.raises(MismatchError, match=str(PART)):
        writing.write(PART, b"AND FIVE", other)
    writing.leave()
    again = store.begin(b"large", 0, seen, shared=True, prove=True)
    assert list(again.done) == [0], "what differs is written again, and no more"
    send(again, LARGE, only=[PART])
    assert again.finish(seen).checksum == checksum_of(LARGE)


def test_what_is_abandoned_or_discarded_leaves_nothing(shelf, store):
    seen = seen_for(b"large", LARGE)
    for shared in (True, False):
        writing = store.begin(b"large", 0, seen, shared=shared)
        send(writing, LARGE, only=[PART])
        writing.abandon()
        assert leftovers(shelf) == []
    writing = store.begin(b"large", 0, seen, shared=True)
    send(writing, LARGE, only=[PART])
    writing.leave()
    store.discard(b"other")
    assert len(leftovers(shelf)) == 1
    store.discard(b"large")
    store.discard(b"large")
    assert leftovers(shelf) == []
    assert list(begun(store._ranges)) == []


def test_a_server_copies_by_itself_or_says_that_it_can_not(shelf, store):
    made = write(store, b"from", b"content", mode=0o600)
    other = shelf.open(prefix="copies/here")
    within = other.copy_within(
        store, made_of(b"from", b"content", made)._replace(etag=made.etag), 0
    )
    assert (within is None) == (shelf.root is not None)
    if within is not None:
        seen, copied, *_ = within
        assert (seen.entry.size, copied.etag) == (7, made.etag)
        assert other.look(b"from").entry.mode == 0o600
    assert store.copy_within(object(), made_of(b"from", b"content", made), 0) is None


def test_a_large_entry_that_fails_leaves_no_descriptor(shelf, store, tmp_path):
    unnameable = shelf.open("x" * 256)
    before = open_descriptors()
    (tmp_path / "ranges").write_text("no directory")
    seen = seen_for(b"large", LARGE)
    for _ in range(3):
        with pytest.raises(OSError, match="ranges"):
            store.begin(b"large", 0, seen, shared=True)
        if shelf.root is not None:
            with pytest.raises(OSError, match="File name too long"):
                unnameable.begin(b"d", 0, seen, shared=False)
    assert open_descriptors() <= before + (shelf.root is None) * 4


def test_reading_leaves_no_descriptor(store, shelf):
    write(store, b"d/f", b"1")
    read(store, b"d/f")
    before = open_descriptors()
    for _ in range(5):
        read(store, b"d/f")
        with pytest.raises((PermanentError, UnstableError)):
            store.open(b"d/missing", 1)
    assert open_descriptors() <= before + (shelf.root is None) * 4
