"""Buckets that keep versions: the current one is the object, the others stay."""

from typing import Any

import pytest

from tests.e2e.buckets.conftest import Shelve
from tests.e2e.buckets.shelf import GUARDED, Count, Route, Shelf, Watch
from tests.e2e.place import Place, write
from tests.servers import faults
from tests.servers.faults import Rule
from tests.servers.s3 import S3Server
from tests.trees.walk import entries_of


@pytest.fixture
def versioned(localstack: S3Server, shelve: Shelve) -> Shelf:
    """Return a shelf in a bucket that keeps versions."""
    shelf = shelve(localstack)
    keeping = {"Status": "Enabled"}
    shelf.client.put_bucket_versioning(
        Bucket=shelf.bucket, VersioningConfiguration=keeping
    )
    return shelf


def versions(shelf: Shelf, key: str) -> list[bytes | None]:
    """Return every version of an object, the newest first; None is a delete marker."""
    name = shelf.prefix + key
    told = shelf.client.list_object_versions(Bucket=shelf.bucket, Prefix=name)
    found: list[dict[str, Any]] = told.get("Versions", []) + told.get(
        "DeleteMarkers", []
    )
    mine = [row for row in found if row["Key"] == name]
    mine.sort(key=lambda row: (not row["IsLatest"], -row["LastModified"].timestamp()))
    return [_content(shelf, row) if "Size" in row else None for row in mine]


def trials(shelf: Shelf) -> list[str]:
    """Return the keys of all versions that a trial of the server left."""
    told = shelf.client.list_object_versions(Bucket=shelf.bucket)
    every = told.get("Versions", []) + told.get("DeleteMarkers", [])
    keys = [row["Key"] for row in every if ".haulage-" in row["Key"]]
    return [key for key in keys if ".haulage-state-" not in key]


def _content(shelf: Shelf, row: dict[str, Any]) -> bytes:
    got = shelf.client.get_object(
        Bucket=shelf.bucket, Key=row["Key"], VersionId=row["VersionId"]
    )
    content: bytes = got["Body"].read()
    return content


def test_of_a_source_that_keeps_versions_the_current_ones_come(
    place: Place, versioned: Shelf
) -> None:
    for content in (b"first", b"second"):
        versioned.put("kept", content)
    versioned.put("gone", b"content")
    versioned.remove("gone")
    back = place.root / "back"
    route = Route(place, versioned, back)
    assert route.synced()["copied"] == 1
    assert {file.name: file.read_bytes() for file in entries_of(back)} == {
        "kept": b"second"
    }
    versioned.put("beside")
    versioned.remove("kept")
    versioned.put("gone", b"is back")
    summary = route.synced(*GUARDED)
    assert (summary["copied"], summary["deleted"]) == (2, 1)
    assert {file.name for file in entries_of(back)} == {"beside", "gone"}
    assert (back / "gone").read_bytes() == b"is back"


def test_a_target_that_keeps_versions_keeps_what_is_overwritten_and_deleted(
    place: Place, versioned: Shelf
) -> None:
    changing = write(place.source / "changing", b"first")
    gone = write(place.source / "gone", b"content")
    write(place.source / "stays", b"always")
    route = Route(place, place.source, versioned)
    route.synced()
    changing.write_bytes(b"second")
    gone.unlink()
    summary = route.synced(*GUARDED)
    assert (summary["copied"], summary["deleted"]) == (1, 1)
    assert versions(versioned, "changing") == [b"second", b"first"]
    assert versions(versioned, "gone") == [None, b"content"]
    assert versions(versioned, "stays") == [b"always"]
    assert trials(versioned) == []
    gone.write_bytes(b"is back")
    assert route.synced(*GUARDED)["copied"] == 1
    assert versions(versioned, "gone") == [b"is back", None, b"content"]


@pytest.mark.torture
def test_a_night_without_a_change_makes_no_version(
    place: Place, versioned: Shelf, watch: Watch
) -> None:
    source = Shelf(versioned.server, versioned.bucket, "from/")
    source.put("key", b"content")
    target, passing = watch.before(versioned)
    route = Route(place, source, target)
    route.synced()
    count = Count(passing)
    route.synced(*GUARDED)
    assert count.of_objects() == []
    assert versions(versioned, "key") == [b"content"]


def test_a_target_under_a_retention_takes_new_versions_and_markers(
    place: Place, localstack: S3Server
) -> None:
    shelf = Shelf(localstack, f"locked-{place.root.name.replace('_', '-')}"[:60])
    client = shelf.client
    client.create_bucket(Bucket=shelf.bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=shelf.bucket,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    changing = write(place.source / "changing", b"first")
    gone = write(place.source / "gone", b"content")
    write(place.source / "stays")
    route = Route(place, place.source, shelf)
    route.synced()
    changing.write_bytes(b"second")
    gone.unlink()
    summary = route.synced(*GUARDED)
    assert (summary["copied"], summary["deleted"]) == (1, 1)
    assert versions(shelf, "changing") == [b"second", b"first"]
    assert versions(shelf, "gone") == [None, b"content"]
    assert set(shelf.etags()) == {"", "changing", "stays"}


@pytest.mark.torture
def test_a_delete_that_is_denied_is_one_failure_and_the_others_go_on(
    place: Place, versioned: Shelf, watch: Watch
) -> None:
    for name in ("held", "free", "stays"):
        write(place.source / name)
    denied = Rule(faults.ACCESS_DENIED, "DELETE", "/held", times=None)
    target, _ = watch.before(versioned, denied)
    route = Route(place, place.source, target)
    route.synced()
    for name in ("held", "free"):
        (place.source / name).unlink()
    ended = route.sync(*GUARDED)
    assert ended.code == 1, ended.text
    assert set(route.reasons()) == {b"held"}
    assert "AccessDenied" in route.reasons()[b"held"]
    assert versions(versioned, "held") == [b"content"]
    assert versions(versioned, "free") == [None, b"content"]
