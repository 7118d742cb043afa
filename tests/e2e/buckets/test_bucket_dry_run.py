"""A dry run makes no bucket; the run that it speaks of does."""

from tests.e2e.buckets.shelf import Shelf
from tests.e2e.place import Place, write


def test_a_bucket_that_a_run_would_make_is_only_planned_into(
    place: Place, moto_shelf: Shelf
) -> None:
    write(place.source / "file")
    server = moto_shelf.server
    words = (place.source, "s3://not-made-yet/x", "--json", "--name", "new")
    options = ("--target-endpoint", server.endpoint, "--target-region", server.region)
    asked = (*words, *options)
    for dry in ((), ("--dry-run",)):
        assert place.haulage("sync", *asked, *dry).code == 2, "nobody asked to make it"
    ended = place.haulage("sync", *asked, "--dry-run", "--target-create-bucket")
    assert ended.code == 0, ended.text
    assert {"verb": "copy", "path": "file"} in ended.lines()
    assert "not-made-yet" not in buckets_in(moto_shelf)
    assert place.haulage("sync", *asked, "--target-create-bucket").code == 0
    assert "not-made-yet" in buckets_in(moto_shelf)


def buckets_in(shelf: Shelf) -> set[str]:
    return {row["Name"] for row in shelf.client.list_buckets()["Buckets"]}
