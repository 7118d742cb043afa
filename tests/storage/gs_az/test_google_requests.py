"""What is asked of Google's server, how often, and which answers are not believed."""

import os
from hashlib import md5
from itertools import count
from urllib.parse import unquote

import pytest

from haulage.errors import MismatchError, TransientError, UnstableError
from haulage.place import Place
from haulage.storage.buckets.gs_az.bucket import open_blobs
from tests.servers.google import Blob, md5_of
from tests.storage.gs_az.clouds import BY

_numbers = count()


@pytest.fixture
def asked(google_server, monkeypatch):
    """Give a bucket of Google's and its server."""
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", google_server.token)
    name = f"asked-{os.getpid()}-{next(_numbers)}"
    google_server.buckets[name] = {}
    place = Place(f"gs://{name}", endpoint=google_server.endpoint)
    bucket = open_blobs(place, {})
    yield bucket, google_server.buckets[name], google_server
    bucket.close()


def test_a_server_that_is_busy_is_asked_again(asked):
    bucket, blobs, server = asked
    server.refusals += [503, 503]
    bucket.put("a", b"x", BY)
    assert blobs["a"].content == b"x"
    server.refusals += [503]
    assert bucket.page("").keys == ["a"]
    assert server.refusals == []


def test_a_stream_whose_part_failed_goes_on(asked):
    bucket, blobs, server = asked

    def chunks():
        yield bytes(20 << 20)
        server.refusals.append(503)
        yield bytes(20 << 20)

    bucket.put_stream("big", chunks(), 40 << 20, BY)
    assert len(blobs["big"].content) == 40 << 20
    assert server.uploads == {}


def test_an_upload_that_failed_leaves_no_parts(asked):
    bucket, _, server = asked
    with pytest.raises(UnstableError):
        bucket.put_stream("big", iter([bytes(20 << 20)]), 40 << 20, BY)
    assert server.uploads == {}


def test_one_object_is_one_request(asked):
    bucket, _, server = asked
    server.asked.clear()
    bucket.put("a", b"x", BY)
    bucket.get("a")
    bucket.head("a")
    bucket.remove("a")
    name = bucket.cloud.place.bucket  # others may have something under way still
    mine = [line.split()[0] for line in server.asked if f"/{name}/" in unquote(line)]
    assert mine == ["PUT", "GET", "HEAD", "DELETE"]


def test_content_that_does_not_fit_its_md5_is_not_taken(asked):
    bucket, blobs, _server = asked
    bucket.put("a", b"hello", BY)
    blobs["a"] = Blob(b"jello", blobs["a"].etag, {})
    with pytest.raises(TransientError, match="another MD5"):
        bucket.get("a")


def test_a_server_that_stores_something_else_is_found_out(asked):
    bucket, _blobs, server = asked

    class Bent(dict):
        def __setitem__(self, key, blob):
            content = b"bent"
            super().__setitem__(key, Blob(content, md5(content).hexdigest(), {}))

    server.buckets[bucket.cloud.place.bucket] = Bent()
    with pytest.raises(MismatchError, match="5 bytes"):
        bucket.put("a", b"hello", BY)


def test_an_etag_that_is_no_md5_of_what_is_stored_is_no_damage(asked):
    bucket, _blobs, server = asked
    server.etag_of = lambda content: md5(b"salt" + content).hexdigest()
    try:
        assert bucket.put("a", b"hello", BY).proven
        assert bytes(bucket.get("a")[1]) == b"hello"
    finally:
        server.etag_of = md5_of


def test_a_replaced_source_is_not_what_was_to_be_copied(asked):
    bucket, _blobs, _ = asked
    bucket.put("a", b"one", BY)
    found = bucket.head("a")
    bucket.put("a", b"two", BY)
    with pytest.raises(UnstableError, match="replaced"):
        bucket.copy_from(bucket, found, "b", None)
