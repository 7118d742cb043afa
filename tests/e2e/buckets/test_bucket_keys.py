"""Keys that a file system cannot hold stay where they are; buckets carry them all."""

from typing import Any

import pytest

from tests.e2e.buckets.conftest import Shelve
from tests.e2e.buckets.shelf import GUARDED, Count, Route, Shelf, Watch, acted_on
from tests.e2e.place import Place, paths_in, write
from tests.servers.s3 import S3Server

LONG = "n" * 300
REFUSED = {
    "a//b": "empty segment",
    "/front": "empty segment",
    "../sentinel": "'..'",
    "sub/../../sentinel": "'..'",
    "./y": "'.'",
    f"long/{LONG}": "300 bytes",
    "beside": "prefix of other keys",
    "dir/": "data",
    "private-\uf7c3\uf7a9": "private",
}
FINE = {"fine": b"1", "beside/below": b"2", "dir/below": b"3", "marker/": b""}
MORE: dict[str, Any] = {
    "Metadata": {"colour": "blue", "mtime": "1.5"},
    "ContentType": "text/x-odd",
    "CacheControl": "max-age=3",
}


@pytest.fixture
def odd_shelf(strict_shelf: Shelf) -> Shelf:
    """Return a shelf with every odd key, and some that are fine."""
    for key in REFUSED:
        strict_shelf.put(key, b"odd", **MORE)
    for key, content in FINE.items():
        strict_shelf.put(key, content, **MORE)
    return strict_shelf


def test_keys_that_no_file_can_have_are_reported_and_the_rest_arrives(
    place: Place, odd_shelf: Shelf
) -> None:
    back = place.root / "outer" / "back"
    sentinel = write(place.root / "outer" / "sentinel", b"mine")
    route = Route(place, odd_shelf, back)
    for _ in range(2):
        ended = route.sync(*GUARDED)
        assert ended.code == 1, ended.text
        reasons = route.reasons()
        assert set(reasons) == {key.encode() for key in REFUSED}
        for key, reason in REFUSED.items():
            assert reason in reasons[key.encode()]
        assert paths_in(back) == {
            *(b"fine", b"beside", b"beside/below", b"marker"),
            *(b"dir", b"dir/below", b"long"),
        } - ({b"long"} if not (back / "long").exists() else set())
        assert sentinel.read_bytes() == b"mine"
        assert paths_in(back.parent) - paths_in(back) >= {b"sentinel"}
    assert sorted(path.name for path in back.parent.iterdir()) == ["back", "sentinel"]


def test_what_can_not_be_held_any_more_is_not_deleted(
    place: Place, moto_shelf: Shelf
) -> None:
    """A file that gets a directory beside it has not gone."""
    moto_shelf.put("both", b"file")
    moto_shelf.put("stays", b"file")
    back = place.root / "back"
    route = Route(place, moto_shelf, back)
    route.synced()
    moto_shelf.put("both/below", b"new")
    ended = route.sync(*GUARDED)
    assert ended.code == 1
    assert b"both" in route.reasons()
    assert (back / "stays").read_bytes() == b"file"
    assert (back / "both").is_file() or (back / "both" / "below").is_file()


def objects(shelf: Shelf) -> dict[str, tuple[object, ...]]:
    """Return all that a bucket should carry of each object."""
    found = {}
    for key, etag in shelf.etags().items():
        head = shelf.head(key)
        tags = shelf.client.get_object_tagging(
            Bucket=shelf.bucket, Key=shelf.prefix + key
        )["TagSet"]
        carried = [head.get(name) for name in ("ContentType", "CacheControl")]
        pairs = {(tag["Key"], tag["Value"]) for tag in tags}
        found[key] = (etag, head["Metadata"], *carried, pairs)
    return found


@pytest.fixture(
    params=["same server", pytest.param("other server", marks=pytest.mark.torture)]
)
def other_shelf(
    request: pytest.FixtureRequest, localstack: S3Server, shelve: Shelve
) -> Shelf:
    """Return an empty shelf where the odd one is, or in moto."""
    if request.param == "same server":
        return shelve(localstack)
    return shelve(request.getfixturevalue("moto_s3"))


def test_from_bucket_to_bucket_every_key_goes_with_all_that_it_carries(
    place: Place, odd_shelf: Shelf, other_shelf: Shelf, watch: Watch
) -> None:
    odd_shelf.remove("private-\uf7c3\uf7a9")  # the only one that is refused
    odd_shelf.put("tagged", b"t", Tagging="team=blue&stage=raw%20one", **MORE)
    odd_shelf.put("disposed", b"d", ContentDisposition="inline", ContentType="x/y")
    source, passing = watch.before(odd_shelf)
    inside = other_shelf.server.endpoint == odd_shelf.server.endpoint
    if inside:
        other_shelf = other_shelf.behind(passing.endpoint)
    route = Route(place, source, other_shelf)
    route.synced("--verify", "metadata")
    assert objects(other_shelf) == objects(odd_shelf)
    asked = [seen for seen in passing.seen("GET", "/data/.") if not seen.query]
    moved = [seen for seen in asked if "/.haulage-" not in seen.path]  # nor a trial
    assert bool(moved) != inside, moved
    count = Count(passing)
    assert acted_on(route.synced("--verify", "metadata", *GUARDED)) == 0
    # What the root is cannot be listed, as nothing stands for it here.
    # A sample of the target, in HEADs, tells whether it is that of last night.
    looked_at = {
        seen.path.partition("/data/")[2]
        for seen in count.of_objects()
        if seen.method != "HEAD"
    }
    assert {path for path in looked_at if not path.startswith(".haulage-")} <= {""}


def test_a_private_character_that_no_path_has_is_refused_between_buckets_too(
    place: Place, moto_s3: S3Server, shelve: Shelve
) -> None:
    one, two = shelve(moto_s3), shelve(moto_s3)
    one.put("private-\uf7c3\uf7a9")
    one.put("fine")
    route = Route(place, one, two)
    assert route.sync().code == 1
    assert set(route.reasons()) == {"private-\uf7c3\uf7a9".encode()}
    assert set(two.etags()) == {"fine"}


@pytest.mark.torture
def test_a_large_object_goes_to_another_server_with_all_that_it_carries(
    place: Place, rclone_shelf: Shelf, strict_shelf: Shelf
) -> None:
    content = bytes(range(256)) * (33 << 12)
    strict_shelf.put("large", content, **MORE)
    Route(place, strict_shelf, rclone_shelf).synced()
    assert rclone_shelf.get("large") == content
    named = rclone_shelf.head("large")["Metadata"]  # in a case of its own
    assert {name.lower(): named[name] for name in named} == MORE["Metadata"]
    back = Shelf(strict_shelf.server, strict_shelf.bucket, "back/")
    Route(place, rclone_shelf, back).synced("--name", "back")
    assert back.get("large") == content
    assert back.head("large")["Metadata"] == MORE["Metadata"]
