"""How a target's server stores keys that not every server keeps unchanged.

Some list control characters as others, store another normal form, treat `a//b` as
`a/b`, or capitals as small letters. An object that is listed under another name could
not be restored, and of two names that become one key the second would replace the
first.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator

from haulage.errors import PermanentError
from haulage.storage.buckets.objects.trials import erase, trial_stem
from haulage.storage.buckets.protocol import Bucket, PutBy

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_PRIVATE = re.compile("[\uf700-\uf7ff]")  # bytes that are not UTF-8
_BEYOND = re.compile("[\U00010000-\U0010ffff]")


class Spellings:
    """What one server's listings have shown so far, for each kind of key."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        """Start without knowledge; trials are made below `prefix`, and removed."""
        self._bucket = bucket
        self._prefix = prefix
        self._lock = threading.Lock()
        self._listed: dict[
            str, str | None
        ] = {}  # a trial's name as the server lists it

    def check(self, key: str) -> None:
        """Raise PermanentError if the server lists such a key under another name."""
        for sample in _samples(key[len(self._prefix) :]):
            with self._lock:
                if sample not in self._listed:
                    self._listed[sample] = self._try(sample)
            listed = self._listed[sample]
            if listed not in (sample, None):
                raise PermanentError(
                    f"the target's server changes such a name: it lists {sample!a} as "
                    f"{listed!a}, so this entry could not be told from others or "
                    "restored; rename it"
                )

    def _try(self, sample: str) -> str | None:
        """Return how the server lists an object of that name; None if it takes none."""
        stem = f"{trial_stem(self._prefix)}-"
        try:
            self._bucket.put(stem + sample, b"", PutBy({}))
            keys = self._bucket.page(stem, limit=2).keys
        except PermanentError:  # so will the entry's own be, in its own words
            return None
        finally:
            erase(self._bucket, stem + sample)
        return ", ".join(key.removeprefix(stem) for key in keys)


def _samples(name: str) -> Iterator[str]:
    """Yield names that show for all names of a kind whether they are kept."""
    if f"/{name}".find("//") >= 0:
        yield "a//b"
    if "/./" in f"/{name}/" or "/../" in f"/{name}/":
        yield "a/./b"
    if name.isascii() and name.isprintable():
        return
    yield from sorted(set(_CONTROL.findall(name)))
    if unicodedata.normalize("NFC", name) != name:
        yield "e\u0301"
    if unicodedata.normalize("NFD", name) != name:
        yield "\xe9"
    if _PRIVATE.search(name):
        yield "\uf7e9"
    if _BEYOND.search(name):
        yield "\U0001f600"
