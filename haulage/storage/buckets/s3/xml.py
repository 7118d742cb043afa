"""Read a page of ListObjectsV2: a thousand keys in a millisecond or two."""

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

import numpy as np

from haulage.errors import FatalError, TransientError
from haulage.storage.buckets.faults import error_of, reply_in
from haulage.storage.buckets.protocol import Keys

_CONTENTS = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
_PREFIX = re.compile(rb"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>")
_FIELDS = {
    name: re.compile(rb"<%s>([^<]*)</%s>" % (name, name))
    for name in (b"Key", b"Size", b"ETag", b"LastModified")
}
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]*)</NextContinuationToken>")
_TRUNCATED = re.compile(
    rb"<IsTruncated>\s*(true|false)\s*</IsTruncated>", re.IGNORECASE
)
_URL_ENCODED = re.compile(rb"<EncodingType>\s*url\s*</EncodingType>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(\w+));")
_WRITTEN = re.compile(rb"[%+&]")
_REPLACEMENT = "\ufffd"  # what servers write for characters that XML has no room for
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


def read_page(body: bytes, what: str) -> Keys:
    """Return the content of a page; an error document or truncated page is an error."""
    if b"</ListBucketResult>" not in body:
        if b"<Error>" in body:
            raise error_of(reply_in(200, body.decode("utf-8", "replace")), what)
        raise TransientError(f"{what}: the listing was cut short at {len(body)} bytes")
    truncated = _TRUNCATED.search(body)
    if truncated is None:
        raise FatalError(f"{what}: the listing does not say whether it goes on")
    encoded = _URL_ENCODED.search(body) is not None
    keys, sizes, etags, times = _columns(body, what)
    token = _TOKEN.search(body)
    names = _texts(keys, what, encoded=encoded)
    return Keys(
        keys=names,
        sizes=np.array(sizes, dtype="S20").astype(np.int64),
        etags=[_etag(etag) for etag in etags],
        modified_ns=_nanoseconds(times),
        prefixes=_texts(_PREFIX.findall(body), what, encoded=encoded),
        is_last=truncated[1].lower() == b"false",
        token=unescaped(token[1].decode()) if token else None,
        replaced=not encoded and any(_REPLACEMENT in name for name in names),
    )


def _columns(body: bytes, what: str) -> list[list[bytes]]:
    """Return keys, sizes, etags and times, all of equal length."""
    columns = [field.findall(body) for field in _FIELDS.values()]
    count = body.count(b"<Contents>")
    if all(len(column) == count for column in columns):
        return columns
    return _one_by_one(body, what)


def _one_by_one(body: bytes, what: str) -> list[list[bytes]]:
    """Return the columns if a server leaves fields out: a missing etag is empty."""
    columns: list[list[bytes]] = [[] for _ in _FIELDS]
    for each in _CONTENTS.findall(body):
        found = [field.search(each) for field in _FIELDS.values()]
        values = [match[1] if match else b"" for match in found]
        if not (values[0] and values[1] and values[3]):
            raise FatalError(f"{what}: an object is listed without key, size or time")
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return columns


def _texts(raw: Sequence[bytes], what: str, *, encoded: bool) -> list[str]:
    """Return keys decoded once, in the one way in which the server encoded them."""
    try:
        joined = b"\n".join(raw)
        if joined.count(b"\n") + 1 == len(raw) and not _WRITTEN.search(joined):
            return joined.decode().split("\n")  # nearly all pages, at once
        if encoded:
            return [_decoded(each) for each in raw]
        return [unescaped(each.decode()) for each in raw]
    except UnicodeDecodeError:
        raise FatalError(f"{what}: the server lists a key that is not UTF-8") from None


def _decoded(raw: bytes) -> str:
    text = unescaped(raw.decode())
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text


def _etag(raw: bytes) -> bytes:
    return raw.replace(b"&quot;", b"").replace(b"&#34;", b"").strip(b'"')


def unescaped(text: str) -> str:
    """Return text without entities; also of characters that XML forbids."""
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(entity: re.Match[str]) -> str:
    if entity[1]:
        return chr(int(entity[1], 16))
    return chr(int(entity[2])) if entity[2] else _NAMED.get(entity[3], entity[0])


def _nanoseconds(times: Sequence[bytes]) -> np.ndarray:
    texts = b"\n".join(times).replace(b"Z", b"").decode().split()
    parsed: np.ndarray = np.array(texts, dtype="datetime64[ns]").astype(np.int64)
    return parsed
