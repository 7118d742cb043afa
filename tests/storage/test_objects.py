"""What only a bucket does as a store; moto is its server where nothing else is said."""

import os
from dataclasses import replace

import pytest

from haulage.errors import PermanentError, UnstableError, VanishedError
from haulage.model import Action, Kind, Status
from haulage.place import Place
from haulage.storage.buckets.objects.store import Objects, put_by, seen_of
from haulage.storage.buckets.protocol import PutBy
from haulage.storage.store import Carried, Extent, Seen
from tests.engine_builders import entry
from tests.storage.s3_opening import opened
from tests.stores import PART, objects_shelf

LINK = {"mode": "120777", "haulage": "1"}


@pytest.fixture
def shelf(moto_s3, bucket, tmp_path):
    return objects_shelf(moto_s3, bucket(moto_s3), tmp_path)


@pytest.fixture
def store(shelf):
    return shelf.open()


def seen_for(path, content=b"", **fields):
    values = {"size": len(content), "uid": os.geteuid(), "gid": os.getegid()}
    return Seen(entry(path, **(values | fields)))


def action_for(seen, **fields):
    known = seen.entry._asdict()
    known |= {"verb": 0, "checksum": None, "verified": 0, "racy": False, "made": None}
    known |= {"was_mtime_s": 0, "was_mtime_ns": 0, "offset": 0, "length": 0}
    return Action(**(known | fields))


def write(store, path, content, **fields):
    return store.write(path, 0, content, seen_for(path, content, **fields))


def test_an_object_of_a_stranger_is_a_file_of_this_process(shelf, store):
    metadata = {"mode": "104777", "uid": "0", "gid": "0", "mtime": "-1.5"}
    etag = shelf.bucket.put("f", b"x", PutBy(metadata)).etag
    seen = store.look(b"f").entry
    assert (seen.mode, seen.uid, seen.gid) == (0o777, os.geteuid(), os.getegid())
    assert (seen.mtime_s, seen.mtime_ns) == (-2, 500_000_000)
    assert seen.etag == etag
    shelf.bucket.put("bare", b"x", PutBy({}))
    bare = store.look(b"bare").entry
    assert bare.mode == 0o644
    assert (bare.mtime_s, bare.mtime_ns) == (bare.ctime_s, bare.ctime_ns)


def test_a_strangers_link_is_a_file_with_content(shelf, store):
    shelf.bucket.put("f", b"/etc/passwd", PutBy({"mode": "120777"}))
    seen = store.look(b"f").entry
    assert (seen.kind, seen.target) == (Kind.FILE, None)


def test_what_is_too_long_for_a_link_is_a_file_and_not_read_whole(shelf, store):
    shelf.bucket.put("long", b"x" * 4096, PutBy(LINK))
    assert store.look(b"long").entry.kind == Kind.FILE
    with store.open(b"long", 4096) as reading:
        assert reading.seen.entry.kind == Kind.FILE
    shelf.bucket.put("short", b"x" * 4095, PutBy(LINK))
    assert store.look(b"short").entry.target == b"x" * 4095


def test_a_link_that_changed_since_it_was_listed_is_opened_with_its_target(
    shelf, store
):
    was = shelf.bucket.put("link", b"was", PutBy(LINK)).etag
    shelf.bucket.put("link", b"is now", PutBy(LINK))
    for size in (3, 2 * PART):
        with store.open(b"link", size, was) as reading:
            seen = reading.seen.entry
            assert (seen.kind, seen.target) == (Kind.SYMLINK, b"is now")


def test_a_small_object_that_grew_is_not_taken_whole(shelf, store):
    was = write(store, b"f", b"small").etag
    shelf.bucket.put("f", bytes(5000), PutBy({}))
    with store.open(b"f", 5, was) as reading:
        assert reading._content is None
        assert reading.seen.entry.size == 5000
        assert bytes(reading.read(Extent(4990, 10))) == bytes(10)
        shelf.bucket.put("f", b"again", PutBy({}))
        with pytest.raises(UnstableError):
            reading.read(Extent(0, 10))


def test_names_that_no_key_can_have_fail_alone(store):
    long = b"x" * 1025
    for call in (
        lambda: store.look(long),
        lambda: store.open(long, 1),
        lambda: write(store, long, b"x"),
        lambda: store.begin(long, 0, seen_for(long), shared=False),
        lambda: store.remove(action_for(seen_for(long))),
        lambda: write(store, b"", b"x"),
    ):
        with pytest.raises(PermanentError):
            call()


def test_a_prefix_holds_its_own_entries_alone(shelf):
    one, other = shelf.open(prefix="one"), shelf.open(prefix="one-more")
    write(other, b"f", b"x")
    assert one.is_empty()
    assert one.look(b"f") is None
    assert list(shelf.bucket.page("").keys) == ["one-more/f"]
    assert one.finish_dir(b"", seen_for(b"", mode=0o700)).etag
    assert one.look(b"").entry.mode == 0o700
    assert one.is_empty()


def test_what_only_a_prefix_implies_is_a_directory_that_nothing_stands_for(store):
    write(store, b"d/f", b"x")
    assert store.look(b"d/") is None
    implied = store.implied(b"d/")
    assert (implied.entry.kind, implied.entry.mode) == (Kind.DIR, 0o755)
    assert store.finish_dir(b"d/", implied) is None
    assert store.look(b"d/") is None


def test_files_get_a_content_type_by_their_name(shelf, store):
    kinds = {
        b"a.html": "text/html",
        b"b.tar.gz": "application/octet-stream",
        b"c": "application/octet-stream",
        b"latin-\xe4.png": "image/png",
        b"d:e.txt": "text/plain",
    }
    for path, kind in kinds.items():
        assert put_by(seen_for(path)).carried.content_type == kind
    write(store, b"a.html", b"x")
    assert shelf.bucket.head("a.html").carried.content_type == "text/html"


def test_what_objects_carry_goes_from_bucket_to_bucket(shelf, store):
    carried = Carried("text/x-own", {"Cache-Control": "no-store"})
    shelf.bucket.put("f", b"content", PutBy({"author": "me"}, carried))
    copy = shelf.open(prefix="copy")
    with store.open(b"f", 7) as reading:
        copy.write(b"f", 0, reading.read(Extent(0, 7)), reading.seen)
    found = shelf.bucket.head("copy/f")
    assert found.metadata == {"author": "me"}
    assert found.carried == carried


def test_a_type_that_changed_is_an_attribute_that_changed(shelf, store):
    one = PutBy({"a": "1"}, Carried("text/plain"))
    etag = shelf.bucket.put("f", b"x", one).etag
    seen = seen_of(b"f", shelf.bucket.head("f"))
    action = action_for(seen, made=etag)
    assert not store.set_attributes(action, seen).changed
    html = seen._replace(carried=replace(seen.carried, content_type="text/html"))
    assert store.set_attributes(action, html).changed
    assert shelf.bucket.head("f").carried.content_type == "text/html"


def test_attributes_of_what_nobody_knows_to_be_ours_are_left_alone(store):
    write(store, b"f", b"x")
    seen = seen_for(b"f", b"x")
    assert store.set_attributes(action_for(seen), seen) is None


def test_without_an_etag_only_what_has_its_size_is_removed(store):
    write(store, b"f", b"xyz")
    assert store.remove(action_for(seen_for(b"f", b"x"))).status is Status.KEPT
    assert store.remove(action_for(seen_for(b"f", b"xyz"))).status is Status.DELETED


def test_a_copy_inside_the_server_takes_the_version_that_is_there_now(
    localstack, bucket, tmp_path
):
    shelf = objects_shelf(localstack, bucket(localstack), tmp_path)
    store = shelf.open()
    was = write(store, b"f", b"one", mode=0o600)
    listed = action_for(seen_for(b"f", b"one"), etag=was.etag)
    now = write(store, b"f", b"other", mode=0o640)
    copies = shelf.open(prefix="copies")
    seen, made, *_ = copies.copy_within(store, listed, 0)
    assert (seen.entry.size, seen.entry.etag, made.etag) == (5, now.etag, now.etag)
    assert copies.look(b"f").entry.mode == 0o640
    with pytest.raises(VanishedError):
        copies.copy_within(store, listed._replace(path=b"gone"), 0)


def test_a_large_copy_inside_the_server_keeps_what_the_object_carries(
    moto_s3, bucket, tmp_path
):
    name = bucket(moto_s3)
    shelf = objects_shelf(moto_s3, name, tmp_path)
    store, target = shelf.open(), shelf.open(prefix="to")
    target.bucket = opened(moto_s3, name, copied_at_once=8 << 20)
    content = bytes(PART + 1)
    by = PutBy({"author": "me"}, Carried("text/x-own"))
    etag = shelf.bucket.put("large", content, by).etag
    listed = action_for(seen_for(b"large", content), etag=etag)
    _, made, *_ = target.copy_within(store, listed, 0)
    found = shelf.bucket.head("to/large")
    assert found.etag == made.etag
    assert (found.metadata, found.carried.content_type) == (
        {"author": "me"},
        "text/x-own",
    )


def tagged(server, name, home, **tags):
    """Return a prefix of a bucket whose place names these tags."""
    place = Place(f"s3://{name}/to", endpoint=server.endpoint, tags=tuple(tags.items()))
    return Objects(opened(server, name, tags=place.tags), place, home)


@pytest.mark.parametrize("parts", [False, True], ids=["at once", "in parts"])
def test_tags_of_the_place_join_those_of_a_copied_object_and_win(
    localstack, bucket, tmp_path, parts
):
    name = bucket(localstack)
    source = objects_shelf(localstack, name, tmp_path, "from").open()
    own = PutBy({"mtime": "7"}, Carried("a/b", tags=(("own", "1"), ("both", "2"))))
    content = bytes(6 << 20)
    etag = source.bucket.put("from/key", content, own).etag
    target = tagged(localstack, name, tmp_path, both="3", added="4")
    if parts:
        target.bucket._copies._at_once_bytes = 5 << 20
    listed = source.look(b"key").entry
    assert listed.etag == etag
    assert target.copy_within(source, action_for(Seen(listed)), 0)
    wanted = {"own": "1", "both": "3", "added": "4"}
    assert dict(target.bucket.tags("to/key")) == wanted
    found = target.bucket.head("to/key")
    assert (found.metadata, found.carried.content_type) == ({"mtime": "7"}, "a/b")
    target.bucket.restamp("to/key", PutBy({"mtime": "8"}), etag=found.etag)
    assert dict(target.bucket.tags("to/key")) == wanted


def test_tags_of_the_place_are_asked_of_a_server_that_has_none(
    rclone_s3, bucket, tmp_path
):
    name = bucket(rclone_s3)
    source = objects_shelf(rclone_s3, name, tmp_path, "from").open()
    source.bucket.put("from/key", b"content", PutBy({}))
    target = tagged(rclone_s3, name, tmp_path, added="4")
    listed = source.look(b"key").entry
    assert target.copy_within(source, action_for(Seen(listed)), 0)
    assert bytes(target.bucket.get("to/key")[1]) == b"content"
