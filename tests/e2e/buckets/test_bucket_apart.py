"""A target inside of its source is found out, by whatever address it is reached."""

from dataclasses import replace

import pytest

from tests.e2e.buckets.shelf import Route, Shelf, Watch
from tests.e2e.place import Place


@pytest.mark.parametrize(
    "address",
    ["http://localhost:", pytest.param("HTTP://127.0.0.1:", marks=pytest.mark.torture)],
)
def test_another_name_of_the_same_address_is_refused_before_anything(
    place: Place, moto_shelf: Shelf, address: str
) -> None:
    moto_shelf.put("a")
    port = moto_shelf.server.endpoint.rpartition(":")[2]
    alias = replace(moto_shelf.behind(f"{address}{port}/"), prefix="data/in/")
    ended = Route(place, moto_shelf, alias).sync("--dry-run")
    assert ended.code == 2
    assert "the target lies inside the source" in ended.text


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("data/", "are the same"),
        pytest.param("data/in/", "inside the source", marks=pytest.mark.torture),
        pytest.param("", "inside the target", marks=pytest.mark.torture),
    ],
)
def test_another_way_to_the_same_bucket_is_found_out_by_a_trial(
    place: Place, moto_shelf: Shelf, watch: Watch, prefix: str, words: str
) -> None:
    moto_shelf.put("a")
    alias, _ = watch.before(replace(moto_shelf, prefix=prefix))
    ended = Route(place, moto_shelf, alias).sync()
    assert ended.code == 2
    assert words in ended.text
    assert set(moto_shelf.etags()) == {"a"}


def test_equal_prefixes_of_two_servers_are_no_reason_to_refuse(
    place: Place, moto_shelf: Shelf, rclone_shelf: Shelf
) -> None:
    rclone_shelf.client.create_bucket(Bucket=moto_shelf.bucket)
    moto_shelf.put("a")
    other = replace(rclone_shelf, bucket=moto_shelf.bucket)
    Route(place, moto_shelf, other).synced()
    assert set(other.etags()) == {"a"}
