"""An object's metadata and headers, as each of the three clients writes and reads them.

Metadata that is not plain ASCII is sent in RFC 2047 form, which is also how Amazon
answers with what it could not send otherwise.
"""

from base64 import b64encode
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from haulage.place import Place
from haulage.storage.buckets.protocol import Found, PutBy
from haulage.storage.store import Carried

if TYPE_CHECKING:
    from obstore import GetResult

HEADERS = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
)
SSE = "x-amz-server-side-encryption"
SSE_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
_TYPE = "Content-Type"
_CLASS = "Storage-Class"
_META = "x-amz-meta-"
_SPECIAL = {name.lower() for name in (*HEADERS, _TYPE, _CLASS)}


# ------------------------------------------------------------------- writing


def attributes_of(place: Place, by: PutBy) -> dict[str, str] | None:
    """Return `by` in obstore's form; None if it would take a name for another."""
    if not _SPECIAL.isdisjoint(name.lower() for name in by.metadata):
        return None
    attributes = {name: plain(value) for name, value in by.metadata.items()}
    attributes.update(by.carried.headers)
    if by.carried.content_type:
        attributes[_TYPE] = by.carried.content_type
    if place.storage_class:
        attributes[_CLASS] = place.storage_class
    return attributes


def headers_of(place: Place, by: PutBy) -> dict[str, str]:
    """Return `by` as the headers of a raw request."""
    headers = {_META + name: plain(value) for name, value in by.metadata.items()}
    headers.update(by.carried.headers)
    if by.carried.content_type:
        headers[_TYPE] = by.carried.content_type
    if place.storage_class:
        headers["x-amz-storage-class"] = place.storage_class
    if place.encryption:
        headers[SSE] = place.encryption
    if place.kms_key:
        headers[SSE_KEY] = place.kms_key
    tags = tags_of(place, by)
    if tags:
        headers["x-amz-tagging"] = urlencode(tags)
    return headers


def parameters_of(place: Place, by: PutBy) -> dict[str, Any]:
    """Return `by` in the form of botocore's calls."""
    values: dict[str, Any] = dict(target_parameters(place))
    values["Metadata"] = {name: plain(value) for name, value in by.metadata.items()}
    for name, value in by.carried.headers.items():
        values[name.replace("-", "")] = value
    if by.carried.content_type:
        values["ContentType"] = by.carried.content_type
    tags = tags_of(place, by)
    if tags:
        values["Tagging"] = urlencode(tags)
    return values


def target_parameters(place: Place) -> dict[str, str]:
    """Return the target place's options for new objects, in botocore's form."""
    values = {
        "StorageClass": place.storage_class,
        "ServerSideEncryption": place.encryption,
        "SSEKMSKeyId": place.kms_key,
    }
    return {name: value for name, value in values.items() if value}


def kept_parameters(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what an object with these headers would lose by a copy onto itself."""
    values = {
        "StorageClass": headers.get("x-amz-storage-class"),
        "ServerSideEncryption": headers.get(SSE),
        "SSEKMSKeyId": headers.get(SSE_KEY),
    }
    return {name: value for name, value in values.items() if value}


def tags_of(place: Place, by: PutBy) -> dict[str, str]:
    """Return the object's own tags and the place's, which take precedence."""
    return dict((*by.carried.tags, *place.tags))


def plain(value: str) -> str:
    """Return a value of metadata in a form that a header can hold."""
    if value.isascii() and value.isprintable() and value == value.strip():
        return value
    return f"=?UTF-8?B?{b64encode(value.encode()).decode()}?="


# ------------------------------------------------------------------- reading


def found_in_result(key: str, result: "GetResult") -> Found:
    """Return an object as obstore describes it."""
    meta = result.meta
    metadata = dict(result.attributes)
    content_type = metadata.pop(_TYPE, None)
    metadata.pop(_CLASS, None)
    headers = {name: metadata.pop(name) for name in HEADERS if name in metadata}
    etag = (meta["e_tag"] or "").strip('"').encode()
    return Found(
        key,
        meta["size"],
        etag,
        int(meta["last_modified"].timestamp()) * 1_000_000_000,
        metadata,
        Carried(content_type, headers),
        b"-" in etag,
    )


def found_in_headers(key: str, headers: Mapping[str, str]) -> Found:
    """Return an object as the headers of an answer to GET or HEAD describe it."""
    metadata = {
        name[len(_META) :].lower(): value
        for name, value in headers.items()
        if name.lower().startswith(_META)
    }
    kept = {name: headers[name] for name in HEADERS if name in headers}
    etag = etag_in(headers)
    modified = parsedate_to_datetime(headers["Last-Modified"])
    return Found(
        key,
        _whole_size(headers),
        etag,
        int(modified.timestamp()) * 1_000_000_000,
        metadata,
        Carried(headers.get("Content-Type"), kept),
        b"-" in etag,
    )


def etag_in(headers: Mapping[str, str]) -> bytes:
    """Return the etag of an answer, without quotes; empty if it has none."""
    return headers.get("ETag", "").strip('"').encode()


def is_keyed(headers: Mapping[str, str]) -> bool:
    """Tell whether an object is encrypted so that its etag is not an MD5."""
    own = headers.get(SSE, "").startswith("aws:kms")
    return own or f"{SSE}-customer-algorithm" in headers


def _whole_size(headers: Mapping[str, str]) -> int:
    bounds = headers.get("Content-Range")
    return int(bounds.rpartition("/")[2] if bounds else headers["Content-Length"])
