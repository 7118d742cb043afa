"""What only a directory tree does as a store."""

import os
import stat
import threading

import pytest
import xxhash

from haulage.errors import (
    BlockedError,
    PermanentError,
    UnstableError,
    VanishedError,
)
from haulage.model import Kind
from haulage.storage.resumable import Done, begun
from haulage.storage.store import Extent, Seen
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.store import Files, Settings
from tests.engine_builders import entry, put
from tests.stores import PART, files_shelf, open_descriptors
from tests.verbs.ways import action_of

TWO = bytes(PART) + b"end"


@pytest.fixture
def shelf(tmp_path):
    return files_shelf(tmp_path)


@pytest.fixture
def store(shelf):
    made = shelf.open()
    yield made
    made.close()


def seen_for(path, content=b"", **fields):
    values = {"size": len(content), "uid": os.geteuid(), "gid": os.getegid()}
    return Seen(entry(path, **(values | fields)))


def send(writing, content):
    for offset in range(0, len(content), PART):
        piece = content[offset : offset + PART]
        writing.write(offset, piece, Done(xxhash.xxh3_128_digest(piece)))


def names_in(root):
    return sorted(name for _, dirs, files in os.walk(root) for name in dirs + files)


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 5000])
def test_a_link_that_no_directory_holds_fails_alone(shelf, store, target):
    link = entry(b"d/link", kind=Kind.SYMLINK, target=target)
    with pytest.raises((PermanentError, OSError)):
        store.link(b"d/link", 0, Seen(link))
    assert names_in(shelf.root) in ([], ["d"])


def test_what_is_no_file_is_unstable_and_closed(shelf, store):
    os.mkfifo(shelf.root / "fifo")
    (shelf.root / "link").symlink_to("fifo")
    (shelf.root / "dir").mkdir()
    before = open_descriptors()
    for path in (b"fifo", b"link", b"dir"):
        with pytest.raises(UnstableError):
            store.open(path, 1)
    assert open_descriptors() == before


def test_a_file_that_changes_while_it_is_read_is_unstable(shelf, store):
    put(shelf.root, b"f", b"0123456789")
    with store.open(b"f", 10) as reading:
        reading.confirm()
        put(shelf.root, b"f", b"0123456789")
        with pytest.raises(UnstableError, match="changed"):
            reading.confirm()
        os.truncate(shelf.root / "f", 5)
        with pytest.raises(UnstableError, match="shrank"):
            reading.read(Extent(0, 10))
        assert reading.read(Extent(0, 5)) == b"01234"


def test_a_directory_with_content_is_not_replaced_and_no_temporary_stays(shelf, store):
    put(shelf.root, b"name/file", b"x")
    link = entry(b"name", kind=Kind.SYMLINK, target=b"t")
    before = open_descriptors()
    with pytest.raises(BlockedError):
        store.write(b"name", 0, b"c", seen_for(b"name", b"c"))
    with pytest.raises(BlockedError):
        store.link(b"name", 0, Seen(link))
    for shared in (True, False):
        writing = store.begin(b"name", 0, seen_for(b"name", TWO), shared=shared)
        send(writing, TWO)
        with pytest.raises(BlockedError):
            writing.finish(seen_for(b"name", TWO))
    assert names_in(shelf.root) == ["file", "name"]
    assert open_descriptors() == before


def test_a_link_in_the_way_is_replaced_and_never_followed(shelf, store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (shelf.root / "d").symlink_to(outside)
    store.write(b"d/f", 0, b"c", seen_for(b"d/f", b"c"))
    assert list(outside.iterdir()) == []
    assert (shelf.root / "d" / "f").read_bytes() == b"c"
    assert store.look(b"d/").entry.kind == Kind.DIR
    (shelf.root / "l").symlink_to(outside)
    assert store.look(b"l/f") is None


def test_a_directory_that_was_replaced_is_seen_anew(shelf, store):
    put(shelf.root, b"d/f", b"old")
    assert store.look(b"d/f").entry.size == 3
    (shelf.root / "d").rename(shelf.root / "e")
    put(shelf.root, b"d/f", b"newer")
    assert store.look(b"d/f").entry.size == 5


def test_a_directory_that_nothing_stands_for_keeps_its_times(shelf, store):
    store.make_dir(b"d/", 0)
    before = (shelf.root / "d").stat().st_mtime_ns
    store.finish_dir(b"d/", Seen(entry(b"d/", mode=0o751, nlink=0, mtime_s=1)))
    after = (shelf.root / "d").stat()
    assert (stat.S_IMODE(after.st_mode), after.st_mtime_ns) == (0o751, before)
    with pytest.raises(VanishedError):
        store.implied(b"d/")


def test_a_record_without_its_temporary_counts_for_nothing(shelf, store):
    seen = seen_for(b"large", TWO)
    first = store.begin(b"large", 0, seen, shared=True)
    send(first, TWO)
    first.leave()
    (temporary,) = shelf.root.iterdir()
    temporary.unlink()  # its inode may be used for the next one at once
    again = store.begin(b"large", 0, seen, shared=True)
    assert again.done == {}
    again.abandon()


def test_a_record_names_its_temporary_as_every_machine_does(shelf, store):
    writing = store.begin(b"large", 0, seen_for(b"large", TWO), shared=True)
    ((_, made, _),) = begun(store._ranges)
    (temporary,) = shelf.root.iterdir()
    inode, nonce = made.split("-")  # a device has another number on each
    assert int(inode) == temporary.stat().st_ino
    assert nonce
    writing.abandon()


def test_what_was_published_is_never_replaced_by_an_empty_one(shelf, store):
    seen = seen_for(b"large", TWO)
    first = store.begin(b"large", 0, seen, shared=True)
    send(first, TWO)
    first.finish(seen)
    again = store.begin(b"large", 0, seen, shared=True)
    with pytest.raises(UnstableError, match="not all"):
        again.finish(seen)
    assert (shelf.root / "large").read_bytes() == TWO
    assert names_in(shelf.root) == ["large"]


def test_content_that_shall_last_is_synced_before_it_is_noted(shelf):
    store = shelf.open(fsync=True)
    seen = seen_for(b"large", TWO)
    writing = store.begin(b"large", 0, seen, shared=True)
    send(writing, TWO)
    writing.finish(seen)
    store.write(b"small", 1, b"x", seen_for(b"small", b"x"))
    assert names_in(shelf.root) == ["large", "small"]
    store.close()


def test_many_threads_write_deep_below_more_directories_than_are_kept_open(shelf):
    store = shelf.open()
    before = open_descriptors()
    failed = []

    def fill(number):
        try:
            for at in range(80):
                path = b"%d/%d/f%d" % (at, at % 7, number)
                store.write(path, number * 1000 + at, b"x", seen_for(path, b"x"))
                assert store.look(path).entry.size == 1
                with store.open(path, 1) as reading:
                    assert reading.read(Extent(0, 1)) == b"x"
        except BaseException as err:  # noqa: BLE001  told to the test
            failed.append(err)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(names_in(shelf.root)) == 80 + 80 + 8 * 80
    assert open_descriptors() <= before + 64
    store.close()
    assert open_descriptors() < before


def known(path, dev=0, ino=0):
    """Return the action for a file that was made before and belonged to an inode."""
    listed = entry(path, dev=dev, ino=ino, size=7)
    return action_of(listed, was_mtime_s=listed.mtime_s, was_mtime_ns=listed.mtime_ns)


@pytest.mark.parametrize("group", [(0, 0), (7, 5)])
def test_a_file_with_other_names_is_left_as_it_is_or_not_touched(shelf, store, group):
    dev, ino = group
    mine = {"dev": dev, "ino": ino, "mode": 0o640}
    store.write(b"a", 0, b"content", seen_for(b"a", b"content", **mine))
    os.link(shelf.root / "a", shelf.root / "b")
    before = os.stat(shelf.root / "a")
    same = seen_for(b"a", b"content", **mine)
    assert store.set_attributes(known(b"a", dev, ino), same).changed is False
    other_mode = seen_for(b"a", b"content", **mine | {"mode": 0o600})
    assert store.set_attributes(known(b"a", dev, ino), other_mode) is None
    elsewhere = seen_for(b"a", b"content", **mine | {"ino": 9})
    assert store.set_attributes(known(b"a", dev, ino), elsewhere) is None
    assert os.stat(shelf.root / "a").st_ctime_ns == before.st_ctime_ns
    os.unlink(shelf.root / "b")
    assert store.set_attributes(known(b"a", dev, ino), elsewhere).changed is False
    assert store.set_attributes(known(b"a", dev, ino), other_mode).changed


def test_a_file_that_says_it_is_empty_and_is_not_is_not_read_as_empty(tmp_path):
    settings = Settings(b"-", b"-", False, tmp_path, check=lambda: None)
    store = Files(Descent("/proc/sys/kernel"), settings)
    with store.open(b"ostype", 0) as reading:
        assert reading.read(Extent(0, 0)) == b""
        with pytest.raises(UnstableError, match="has 0 bytes, but has content"):
            reading.confirm()
    store.close()
