"""Uploads that a lost machine began: listed, and aborted when a person says so."""

from tests.e2e.buckets.shelf import Shelf
from tests.e2e.place import Place, write


def test_a_sweep_aborts_what_a_dry_run_of_it_listed(
    place: Place, moto_shelf: Shelf
) -> None:
    write(place.source / "file")
    words = ("sync", place.source, moto_shelf.url, "--name", "docs")
    assert place.haulage(*words, *moto_shelf.options("target")).code == 0
    for key in ("data/large", "elsewhere/large"):
        moto_shelf.client.create_multipart_upload(Bucket=moto_shelf.bucket, Key=key)
    sweep = ("sweep", "docs", "--older-than", "0s")
    began, dry = place.haulage(*sweep, "-n", "--json").lines()
    assert (began["key"], dry) == ("data/large", {"uploads": 1, "aborted": 0})
    assert sorted(moto_shelf.uploads()) == ["data/large", "elsewhere/large"]
    ended = place.haulage(*sweep)
    assert ended.out.endswith(b"  data/large\n1 uploads aborted\n"), ended.text
    assert moto_shelf.uploads() == ["elsewhere/large"]
    assert place.haulage(*sweep, "--json").lines() == [{"uploads": 0, "aborted": 0}]
