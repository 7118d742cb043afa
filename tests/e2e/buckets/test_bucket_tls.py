"""A server whose certificate a CA of the house has signed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.buckets.shelf import Route, Shelf
from tests.e2e.place import Place, write
from tests.servers.certificates import Certificate, certificate
from tests.servers.rclone import rclone


@pytest.fixture
def signed(tmp_path: Path) -> Certificate:
    """Return a certificate of this machine."""
    return certificate(tmp_path, "IP:127.0.0.1")


@pytest.fixture
def shelf(tmp_path: Path, signed: Certificate) -> Iterator[Shelf]:
    """Return a shelf in a server that speaks TLS."""
    shown = ("--cert", signed.file, "--key", signed.key)
    with rclone(tmp_path / "served", *shown, scheme="https") as server:
        (tmp_path / "served/data/buckets/signed").mkdir(parents=True)
        yield Shelf(server, "signed")


def test_a_ca_of_the_house_is_named_once_and_trusted_by_every_process(
    place: Place,
    shelf: Shelf,
    signed: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(place.source / "dir" / "file", b"content")
    ended = Route(place, place.source, shelf).sync()
    assert ended.code == 2, ended.out
    host = shelf.server.endpoint.removeprefix("https://")
    for words in (host, "certificate is not trusted", "AWS_CA_BUNDLE"):
        assert words in ended.text
    assert "Traceback" not in ended.text
    monkeypatch.setenv("AWS_CA_BUNDLE", str(signed.ca))
    Route(place, place.source, shelf).synced()
    back = place.root / "back"
    Route(place, shelf, back).synced("--name", "back")
    assert (back / "dir" / "file").read_bytes() == b"content"
