"""The tags of objects, if the server supports them."""

import re

from haulage.storage.buckets.faults import UnsupportedError, error_of, reply_in
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.s3.connection.wire import Got
from haulage.storage.buckets.s3.xml import unescaped

Tags = tuple[tuple[str, str], ...]

_MOST_BYTES = 1 << 20  # ten tags are far less; an object in their place may be more
_DOCUMENT = re.compile(rb"\s*(?:<\?xml[^>]*>)?\s*<Tagging\b.*</Tagging>\s*", re.DOTALL)
_TAG = re.compile(rb"<Tag>(.*?)</Tag>", re.DOTALL)
_KEY = re.compile(rb"<Key>([^<]*)</Key>")
_VALUE = re.compile(rb"<Value>([^<]*)</Value>")


class Tagging:
    """Reads the tags of one bucket's objects; any thread may use it."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._unsupported = False

    def of(self, key: str) -> Tags:
        """Return an object's tags; none if the server is known to have none.

        Concurrent threads get equal answers, so that none need wait for the first.
        """
        if self._unsupported:
            return ()
        what = self._reach.named("GET the tags of", key)
        try:
            return self._reach.call(what, lambda: self._ask(key, what))
        except UnsupportedError:
            self._unsupported = True
            return ()

    def _ask(self, key: str, what: str) -> Tags:
        got = self._reach.wire.send(
            "GET", key, query=(("tagging", ""),), most=_MOST_BYTES
        )
        if _DOCUMENT.fullmatch(got.body):
            return tuple(_tag(each) for each in _TAG.findall(got.body))
        if _is_object(got):
            raise UnsupportedError(f"{what}: the server answers with the object")
        raise error_of(reply_in(200, got.body.decode("utf-8", "replace")), what)


def _is_object(got: Got) -> bool:
    """Tell whether the server ignored the request for tags and sent the object.

    botocore would report most contents as an HTTP 500, which may also be a fault.
    """
    return "ETag" in got.headers and "Last-Modified" in got.headers


def _tag(raw: bytes) -> tuple[str, str]:
    found = (_KEY.search(raw), _VALUE.search(raw))
    key, value = (unescaped(each[1].decode()) if each else "" for each in found)
    return key, value
