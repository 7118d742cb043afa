"""Attributes that change move no content, and content that changes is copied."""

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.buckets.shelf import GUARDED, Count, Route, Shelf, Watch, acted_on
from tests.e2e.place import Place, grow_old, write
from tests.servers.faults import FlipRequest, Rule
from tests.trees.compare import assert_same

OURS = {"mtime": "1500000000.123456789", "mode": "100640", "uid": "7", "gid": "8"}
OURS["haulage"] = "1"


def restamp(shelf: Shelf, key: str, **metadata: str) -> None:
    """Give an object other metadata, as other tools do."""
    name = shelf.prefix + key
    shelf.client.copy_object(
        Bucket=shelf.bucket,
        Key=name,
        CopySource={"Bucket": shelf.bucket, "Key": name},
        MetadataDirective="REPLACE",
        Metadata=metadata,
    )


@pytest.mark.parametrize(
    "how",
    [
        "chmod",
        pytest.param("chown", marks=pytest.mark.torture),
        pytest.param("touch", marks=pytest.mark.torture),
    ],
)
def test_attributes_alone_go_to_a_bucket_without_the_content(
    place: Place, strict_shelf: Shelf, watch: Watch, how: str
) -> None:
    file = write(place.source / "file", b"x" * 70_000)
    write(place.source / "other")
    grow_old()
    target, passing = watch.before(strict_shelf)
    route = Route(place, place.source, target)
    route.synced()
    {
        "chmod": lambda: os.chmod(file, 0o4751),
        "chown": lambda: os.chown(file, 12, 34),
        "touch": lambda: os.utime(file, ns=(5, -5)),
    }[how]()
    passing.add(Rule(FlipRequest(100), "PUT", "/file$", times=None))  # of any content
    count = Count(passing)
    summary = route.synced()
    assert (summary["updated"], summary["copied"], summary["copied_bytes"]) == (1, 0, 0)
    methods = [seen.method for seen in count.of_objects() if "file" in seen.path]
    assert methods.count("PUT") == 1
    assert "GET" not in methods
    back = place.root / "back"
    Route(place, strict_shelf, back).synced("--name", "back")
    assert_same(place.source, back)


def test_an_edit_that_keeps_size_and_mtime_reaches_the_bucket(
    place: Place, moto_shelf: Shelf
) -> None:
    file = write(place.source / "file", b"one")
    route = Route(place, place.source, moto_shelf)
    route.synced()
    was = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert route.synced()["copied"] == 1
    assert moto_shelf.get("file") == b"two"


def test_an_object_that_is_overwritten_with_its_size_is_copied(
    place: Place, any_shelf: Shelf
) -> None:
    for name in ("same", "changes"):
        any_shelf.put(name, b"one", Metadata=OURS)
    back = place.root / "back"
    route = Route(place, any_shelf, back)
    route.synced()
    any_shelf.put("changes", b"two", Metadata=OURS)
    assert route.synced()["copied"] == 1
    assert (back / "changes").read_bytes() == b"two"
    assert (back / "same").read_bytes() == b"one"


@pytest.mark.parametrize(
    "to", ["directory", pytest.param("bucket", marks=pytest.mark.torture)]
)
def test_metadata_alone_is_taken_from_a_bucket_without_the_content(
    place: Place, moto_shelf: Shelf, watch: Watch, to: str
) -> None:
    source, passing = watch.before(moto_shelf)
    source.put("file", b"x" * 70_000, Metadata=OURS, ContentType="text/x")
    source.put("other", b"y", Metadata=OURS)
    copies = Shelf(source.server, source.bucket, "copies/", source.near)
    target = copies if to == "bucket" else place.root / "back"
    route = Route(place, source, target)
    route.synced()
    grow_old()  # times of objects are told in whole seconds
    restamp(source, "file", **{**OURS, "mode": "100604", "mtime": "-3.5"})
    count = Count(passing)
    summary = route.synced()
    assert (summary["updated"], summary["copied"], summary["copied_bytes"]) == (1, 0, 0)
    reads = [seen for seen in count.of_objects() if seen.method == "GET"]
    assert [seen for seen in reads if seen.path.endswith("file")] == []
    if to == "bucket":
        assert copies.head("file")["Metadata"] == source.head("file")["Metadata"]
        return
    found = (place.root / "back" / "file").stat()
    assert (found.st_mode & 0o7777, found.st_mtime_ns) == (0o604, -3_500_000_000)
    assert (found.st_uid, found.st_gid) == (7, 8)


BLOCKED = "the target has a directory with content here"


@pytest.mark.parametrize(
    "becomes", ["file", pytest.param("link", marks=pytest.mark.torture)]
)
def test_what_takes_a_directorys_name_waits_until_nothing_is_below_it(
    place: Place, moto_shelf: Shelf, becomes: str
) -> None:
    for path in ("d/sub/x", "d/x", "d-beside", "stays", "e/x"):
        write(place.source / path)
    (place.source / "empty").mkdir()
    route = Route(place, place.source, moto_shelf)
    route.synced()
    before = set(moto_shelf.etags())
    for name in ("d", "empty"):
        shutil.rmtree(place.source / name)
        make(place.source / name, becomes)
    for _ in range(2):
        ended = route.sync()
        assert (ended.code, route.reasons()) == (1, {b"d": BLOCKED})
        assert set(moto_shelf.etags()) == before - {"empty/"} | {"empty"}
    assert route.synced(*GUARDED)["deleted"] == 4
    back = place.root / "back"
    Route(place, moto_shelf, back).synced("--name", "back")
    assert_same(place.source, back)
    assert acted_on(route.synced(*GUARDED)) == 0


def make(path: Path, kind: str) -> None:
    if kind == "link":
        path.symlink_to("stays")
    else:
        write(path)


def test_a_new_file_costs_no_request_for_what_may_be_below_its_name(
    place: Place, moto_shelf: Shelf, watch: Watch
) -> None:
    write(place.source / "dir" / "file")
    target, passing = watch.before(moto_shelf)
    route = Route(place, place.source, target)
    route.synced()
    write(place.source / "new", b"")
    write(place.source / "dir-and-more", b"")
    count = Count(passing)
    route.synced()
    asked = [seen.query for seen in count.seen() if "prefix=" in seen.query]
    assert [query for query in asked if "new" in query or "dir" in query] == []


@pytest.mark.torture
def test_a_link_that_becomes_a_file_and_then_a_directory_is_followed(
    place: Place, moto_shelf: Shelf
) -> None:
    back = place.root / "back"
    up = Route(place, place.source, moto_shelf)
    down = Route(place, moto_shelf, back)
    changes = place.source / "changes"
    for step in range(3):
        if step:
            changes.unlink()
        if step == 2:
            changes.mkdir()
        elif step % 2:
            changes.write_bytes(b"target")
        else:
            changes.symlink_to("target")
        up.synced(*GUARDED)
        down.synced("--name", "back", *GUARDED)
        assert_same(place.source, back)
