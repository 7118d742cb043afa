"""Servers that list objects under other names, or take two names for one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.buckets.conftest import Shelve
from tests.e2e.buckets.shelf import GUARDED, Route, Shelf
from tests.e2e.place import Place, paths_in, write
from tests.servers.rclone import rclone
from tests.servers.s3 import S3Server

CONTROL = [chr(code) for code in range(1, 32) if chr(code) not in "\t\n\r"]


@pytest.fixture
def veiled_shelf(versitygw: S3Server, shelve: Shelve) -> Shelf:
    """Return a shelf whose server lists control characters as U+FFFD."""
    return shelve(versitygw)


def test_objects_that_a_listing_does_not_tell_apart_are_failures_and_stay(
    place: Place, veiled_shelf: Shelf
) -> None:
    back = place.root / "back"
    route = Route(place, veiled_shelf, back)
    for name in ("plain", "a/b", "\ufffd is its name", "z"):
        veiled_shelf.put(name)
    route.synced(*GUARDED)
    for char in CONTROL:
        veiled_shelf.put(f"a{char}", char.encode())
    veiled_shelf.put("one\x01")
    for _ in range(2):
        ended = route.sync(*GUARDED)
        assert ended.code == 1, ended.text
        assert ended.summary()["deleted"] == 0
        assert set(route.reasons()) == {"a\ufffd".encode(), "one\ufffd".encode()}
        names = {"plain", "a", "a/b", "\ufffd is its name", "z"}
        assert paths_in(back) == {name.encode() for name in names}


def test_names_that_a_target_would_list_as_others_are_failures_and_the_rest_arrives(
    place: Place, veiled_shelf: Shelf
) -> None:
    for char in CONTROL:
        write(place.source / f"name{char}")
    fine = ("tab\t", "line\n", "return\r", "é", "e\u0301", "\U0001f600", "plain")
    for name in fine:
        write(place.source / name)
    write(Path(os.fsdecode(os.fsencode(place.source) + b"/caf\xe9")))
    route = Route(place, place.source, veiled_shelf)
    ended = route.sync(*GUARDED)
    assert ended.code == 1
    assert set(route.reasons()) == {f"name{char}".encode() for char in CONTROL}
    assert all("lists" in reason for reason in route.reasons().values())
    back = place.root / "back"
    Route(place, veiled_shelf, back).synced("--name", "back")
    assert paths_in(back) == {*(name.encode() for name in fine), b"caf\xe9"}


def test_keys_that_a_server_takes_for_one_do_not_replace_each_other(
    place: Place, moto_shelf: Shelf, veiled_shelf: Shelf
) -> None:
    for key in ("a/b", "a//b", "a/./b", "x/../a/b"):
        moto_shelf.put(key, key.encode())
    route = Route(place, moto_shelf, veiled_shelf)
    ended = route.sync()
    assert ended.code == 1
    assert set(route.reasons()) == {b"a//b", b"a/./b", b"x/../a/b"}
    assert veiled_shelf.get("a/b") == b"a/b"


@pytest.fixture
def folding_shelf(tmp_path: Path, shelve: Shelve) -> Iterator[Shelf]:
    """Return a shelf whose server takes capitals for small letters."""
    with rclone(tmp_path / "rclone", "--vfs-case-insensitive") as server:
        yield shelve(server)


def test_of_names_that_differ_in_case_alone_a_folding_server_keeps_the_first(
    place: Place, folding_shelf: Shelf
) -> None:
    write(place.source / "README", b"capitals")
    write(place.source / "other")
    route = Route(place, place.source, folding_shelf)
    route.synced(*GUARDED)
    write(place.source / "readme", b"small")
    ended = route.sync(*GUARDED)
    assert (ended.code, ended.summary()["failed"]) == (1, 1)
    assert "only in case" in route.reasons()[b"readme"]
    assert folding_shelf.get("README") == b"capitals"

    os.rename(place.source / "readme", place.source / "README")
    route.synced(*GUARDED)
    os.rename(place.source / "README", place.source / "readme")
    route.sync(*GUARDED)
    route.synced(*GUARDED)
    assert set(folding_shelf.etags()) == {"readme", "other"}
    assert folding_shelf.get("readme") == b"small"
