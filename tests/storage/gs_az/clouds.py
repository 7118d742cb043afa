"""Buckets of Google and Azure, what is written into them, and what they list."""

from dataclasses import dataclass

from haulage.place import Place
from haulage.storage.buckets.protocol import PutBy
from haulage.storage.store import Carried
from tests.servers.azure import AzureServer
from tests.servers.google import GoogleServer

STAMP = {
    "mtime": "1500000000.123456789",
    "mode": "100644",
    "uid": "0",
    "gid": "7",
    "haulage": "1",
}
BY = PutBy(STAMP, Carried("text/plain", {"Cache-Control": "no-store"}))


@dataclass(frozen=True)
class Cloud:
    """An empty bucket, and how names of any kind come into it."""

    server: AzureServer | GoogleServer
    place: Place

    @property
    def is_google(self) -> bool:
        return self.place.scheme == "gs"

    def put(self, key: str, content: bytes = b"") -> None:
        self.server.put(self.place.bucket, key, content)


def keys_of(bucket, prefix="", **how):
    """List to the end; return the keys and the prefixes."""
    keys, prefixes, token = [], [], None
    while True:
        page = bucket.page(prefix, token=token, **how)
        keys += page.keys
        prefixes += page.prefixes
        if page.is_last:
            return keys, prefixes
        token = page.token
