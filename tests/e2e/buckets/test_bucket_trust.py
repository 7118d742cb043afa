"""Whoever may put an object becomes nobody where it is restored."""

import os
import stat
from dataclasses import replace

from tests.e2e.buckets.shelf import GUARDED, Route, Shelf, acted_on
from tests.e2e.place import Place

OURS = {"haulage": "1", "uid": "0", "gid": "0", "mtime": "1700000000.0"}
STRANGER = {"uid": "12345", "gid": "54321"}


def put_traps(shelf: Shelf) -> None:
    """Ask for everything that metadata can ask for."""
    mine = {"uid": str(os.geteuid()), "gid": str(os.getegid())}
    for key, content, asked in (
        ("plain", b"x", {"mode": "100640"}),
        ("tool", b"x", {"mode": "104755"}),
        ("theirs", b"x", {"mode": "100644", **STRANGER}),
        ("dir/", b"", {"mode": "42755"}),
        ("dir/in", b"../plain", {"mode": "120777"}),
        ("out", b"/etc", {"mode": "120777"}),
        ("dir/up", b"../../etc", {"mode": "120777"}),
    ):
        shelf.put(key, content, Metadata={**OURS, **mine, **asked})


def test_what_metadata_asks_for_is_told_and_not_taken_over_until_it_is_trusted(
    place: Place, moto_shelf: Shelf
) -> None:
    put_traps(moto_shelf)
    back = place.root / "back"
    route = Route(place, moto_shelf, back, trusting=False)
    summary = route.synced()
    assert (summary["failed"], summary["lost"]) == (0, 5)
    assert set(route.reasons()) == {b"tool", b"theirs", b"dir/", b"out", b"dir/up"}
    assert all("--trust-metadata" in reason for reason in route.reasons().values())
    assert stat.S_IMODE((back / "tool").lstat().st_mode) == 0o755
    assert stat.S_IMODE((back / "dir").lstat().st_mode) == 0o755
    assert (back / "theirs").lstat().st_uid == os.geteuid()
    assert (back / "out").read_bytes() == b"/etc"
    assert not (back / "out").is_symlink()
    assert not (back / "dir" / "up").is_symlink()
    assert os.readlink(back / "dir" / "in") == "../plain"
    assert place.haulage("verify", place.name).code == 0, place.failures()
    assert acted_on(route.synced(*GUARDED)) == 0

    trusting = replace(route, trusting=True)
    trusting.synced(*GUARDED)
    assert stat.S_IMODE((back / "tool").lstat().st_mode) == 0o4755
    assert stat.S_IMODE((back / "dir").lstat().st_mode) == 0o2755
    assert os.readlink(back / "out") == "/etc"
    assert os.readlink(back / "dir" / "up") == "../../etc"
    if os.geteuid() == 0:
        found = (back / "theirs").lstat()
        assert (found.st_uid, found.st_gid) == (12345, 54321)
    assert acted_on(trusting.synced(*GUARDED)) == 0


def test_a_stamp_goes_from_bucket_to_bucket_unharmed(
    place: Place, moto_shelf: Shelf
) -> None:
    put_traps(moto_shelf)
    other = replace(moto_shelf, prefix="other/")
    summary = Route(place, moto_shelf, other).synced()
    assert summary["lost"] == 0
    for key in moto_shelf.etags():
        assert other.head(key)["Metadata"] == moto_shelf.head(key)["Metadata"]


def test_trust_where_no_metadata_is_taken_over_is_refused(
    place: Place, moto_shelf: Shelf
) -> None:
    ended = Route(place, place.source, moto_shelf).sync("--trust-metadata")
    assert ended.code == 2
    assert "leave out --trust-metadata" in ended.text
