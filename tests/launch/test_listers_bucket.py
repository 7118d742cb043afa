"""Buckets listed by processes, on servers as they are."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pytest

from haulage.errors import FatalError
from haulage.launch.listers.pool import Listers
from haulage.model import ENTRY
from haulage.place import Place
from haulage.storage.tree.listing.walk import Unreadable
from tests.engine_builders import paths_of

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("listed")  # that it is filled once

TOPS = ["a", "b.c", "x/y/z"]
ODD_TOPS = ["d e", "é"]


@pytest.fixture(
    scope="module",
    params=[
        "moto_s3",
        *(
            pytest.param(name, marks=pytest.mark.torture)
            for name in ("rclone_s3", "localstack")
        ),
    ],
)
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def filled(server):
    """Give the server, a bucket with some 2,500 keys, and the keys.

    LocalStack compares escaped keys with tokens that are not, and so loses keys of
    other than plain characters at the border of a page.
    """
    client = server.client()
    client.create_bucket(Bucket="listed")
    rng = random.Random(3)
    tops = TOPS if server.name == "localstack" else TOPS + ODD_TOPS
    keys = [f"p/{rng.choice(tops)}/{number:05}" for number in range(1100)]
    keys += [f"p/flat/{number:06}" for number in range(1400)]
    keys += ["p-/outside", "p0", "other/thing"]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda k: client.put_object(Bucket="listed", Key=k), keys))
    return server, keys


def listed(server, place, spool, *, count=2, after=None, **options) -> list:
    environ = server.environment()
    with Listers(
        place, {}, count=count, spool=spool, environ=environ, **options
    ) as listers:
        return list(listers.pieces(after))


def table_of(pieces) -> pa.Table:
    tables = [piece for piece in pieces if isinstance(piece, pa.Table)]
    return pa.concat_tables(tables or [ENTRY.empty_table()])


def place_of(server, url: str) -> Place:
    return Place(url, endpoint=server.endpoint, region=server.region, path_style=True)


def expected(keys) -> list[bytes]:
    paths = [key[2:].encode() for key in keys if key.startswith("p/")]
    dirs = {
        path[: at + 1] for path in paths for at in range(len(path)) if path[at] == 47
    }
    return sorted({b"", *paths, *dirs})


@pytest.mark.parametrize("count", [1, 3])
def test_a_bucket_is_listed_whole_by_any_number_of_listers(filled, tmp_path, count):
    server, keys = filled
    pieces = listed(server, place_of(server, "s3://listed/p"), tmp_path, count=count)
    assert not [piece for piece in pieces if isinstance(piece, Unreadable)]
    assert paths_of(table_of(pieces)) == expected(keys)


def test_a_bucket_is_listed_on_behind_any_path(filled, tmp_path):
    server, keys = filled
    paths = expected(keys)
    for number, after in enumerate([b"b.c/", paths[1300], "é/".encode()]):
        pieces = listed(
            server,
            place_of(server, "s3://listed/p"),
            tmp_path / str(number),
            after=after,
        )
        assert paths_of(table_of(pieces)) == [p for p in paths if p > after]


def test_a_bucket_that_is_missing_ends_the_listing_in_words(filled, tmp_path):
    server, _ = filled
    with pytest.raises(FatalError) as told:
        listed(server, place_of(server, "s3://no-such-bucket/p"), tmp_path)
    assert "no-such-bucket" in str(told.value)


def test_a_listing_that_was_sorted_before_is_sorted_again(filled, tmp_path):
    server, keys = filled
    note = tmp_path / "note"
    note.write_text("early")
    place = place_of(server, "s3://listed/p")
    whole = listed(server, place, tmp_path / "a", disorder=note)
    assert paths_of(table_of(whole)) == expected(keys)
    rest = listed(server, place, tmp_path / "b", disorder=note, after=b"flat/")
    assert paths_of(table_of(rest)) == [p for p in expected(keys) if p > b"flat/"]


@pytest.fixture
def disordered(server, bucket):
    """Give a bucket whose paths sort otherwise than their keys."""
    name = bucket(server)
    client = server.client()
    for key in ["p/a", "p/é", "p/\uf780", "p/z/y"]:
        client.put_object(Bucket=name, Key=key)
    return place_of(server, f"s3://{name}/p")


IN_ORDER = [b"", b"a", b"z/", b"z/y", b"\x80", "é".encode()]


def test_names_that_are_no_utf8_are_sorted_by_itself(server, disordered, tmp_path):
    note = tmp_path / "note"
    pieces = listed(server, disordered, tmp_path / "spool", disorder=note)
    assert paths_of(table_of(pieces)) == IN_ORDER
    assert note.read_text() == "early"


def test_a_disorder_that_is_found_by_who_goes_on_ends_the_run(
    server, disordered, tmp_path
):
    if server.name == "localstack":
        pytest.skip("it compares escaped keys with a start-after that is not escaped")
    note = tmp_path / "note"
    with pytest.raises(FatalError, match="start a new one"):
        listed(server, disordered, tmp_path / "a", after=b"a", disorder=note)
    with pytest.raises(FatalError, match="start a new one"):
        listed(server, disordered, tmp_path / "b", after=b"a", disorder=note)
    again = listed(server, disordered, tmp_path / "c", disorder=note)
    assert paths_of(table_of(again)) == IN_ORDER
    rest = listed(server, disordered, tmp_path / "d", after=b"z/y", disorder=note)
    assert paths_of(table_of(rest)) == IN_ORDER[-2:]


def test_what_is_refused_is_told_with_its_reason(server, bucket, tmp_path):
    if server.name == "rclone":
        pytest.skip("its objects are files, whose names have 255 bytes at most")
    name = bucket(server)
    client = server.client()
    for key in ["p/a", "p/b/c", "p/" + "x" * 300]:
        client.put_object(Bucket=name, Key=key)
    place = place_of(server, f"s3://{name}/p")
    pieces = listed(server, place, tmp_path / "files")
    (refused,) = [piece for piece in pieces if isinstance(piece, Unreadable)]
    assert refused.path == b"x" * 300
    assert "300 bytes" in str(refused.reason)
    whole = listed(server, place, tmp_path / "objects", for_files=False)
    assert paths_of(table_of(whole)) == [b"", b"a", b"b/c", b"x" * 300]


def test_secrets_of_a_place_come_from_the_environment_alone(filled, tmp_path):
    server, keys = filled
    place = replace(place_of(server, "s3://listed/p"), secrets="SRC")
    environ = {
        "SRC_ACCESS_KEY_ID": server.access_key,
        "SRC_SECRET_ACCESS_KEY": server.secret_key,
    }
    with Listers(
        place, {}, count=1, spool=tmp_path, for_files=True, environ=environ
    ) as listers:
        assert paths_of(table_of(listers.pieces())) == expected(keys)
