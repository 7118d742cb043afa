"""Objects of Google and Azure come and go whole, small ones and streams."""

import os

import pytest

from haulage.errors import UnstableError, VanishedError
from haulage.place import Place
from haulage.storage.buckets.gs_az.bucket import open_blobs
from haulage.storage.buckets.protocol import AsStream, ByParts, PutBy
from tests.storage.gs_az.clouds import BY, STAMP, keys_of

# --------------------------------------------------------------------- objects


def test_an_object_comes_back_with_its_content_its_metadata_and_its_headers(bucket):
    answer = bucket.put("a/b.txt", b"hello", BY)
    found, content = bucket.get("a/b.txt")
    assert bytes(content) == b"hello"
    assert dict(found.metadata) == STAMP
    assert found.carried.content_type == "text/plain"
    assert dict(found.carried.headers) == {"Cache-Control": "no-store"}
    assert (found.key, found.size, found.etag) == ("a/b.txt", 5, answer.etag)


def test_the_headers_alone_say_the_same_as_the_object(bucket):
    bucket.put("a", b"hello", BY)
    assert bucket.head("a") == bucket.get("a")[0]


def test_google_proves_what_is_stored_and_azure_does_not(bucket, cloud):
    assert bucket.put("a", b"hello", BY).proven is cloud.is_google


def test_an_empty_object_is_an_object(bucket):
    bucket.put("empty", b"", BY)
    assert bucket.get("empty")[0].size == 0
    assert keys_of(bucket) == (["empty"], [])


@pytest.mark.parametrize(
    "key",
    ["é/ü", "a b", "a+b", "a%2Fb", "#a?b&c=d", "\uf7ff", "\U0001f600", "a;b'c\"d<>"],
)
def test_a_key_comes_back_as_it_is(bucket, key):
    bucket.put(key, b"x", BY)
    assert keys_of(bucket) == ([key], [])
    assert bytes(bucket.get(key)[1]) == b"x"
    bucket.remove(key)
    assert bucket.head(key) is None


def test_what_is_not_there_has_no_headers_and_no_content(bucket):
    assert bucket.head("nothing") is None
    with pytest.raises(VanishedError, match="nothing"):
        bucket.get("nothing")


def test_a_range_is_exactly_that_range(bucket):
    bucket.put("a", b"0123456789", BY)
    found, content = bucket.get("a", span=(3, 4))
    assert (found.size, bytes(content)) == (10, b"3456")


def test_another_version_than_asked_for_is_unstable(bucket):
    etag = bucket.put("a", b"one", BY).etag
    bucket.put("a", b"two", BY)
    with pytest.raises(UnstableError):
        bucket.get("a", etag=etag)
    with pytest.raises(UnstableError):
        bucket.get("a", span=(0, 1), etag=etag)


def test_the_version_asked_for_is_given(bucket):
    etag = bucket.put("a", b"one", BY).etag
    assert bytes(bucket.get("a", etag=etag)[1]) == b"one"


def test_an_object_is_removed_and_removing_it_again_is_no_error(bucket):
    bucket.put("a", b"x", BY)
    bucket.remove("a")
    assert bucket.head("a") is None
    bucket.remove("a")


def test_new_metadata_leaves_the_content(bucket):
    etag = bucket.put("a", b"hello", BY).etag
    answer = bucket.restamp("a", PutBy({"mtime": "7.000000000"}), etag=etag)
    found, content = bucket.get("a")
    assert (dict(found.metadata), bytes(content)) == (
        {"mtime": "7.000000000"},
        b"hello",
    )
    assert found.etag == answer.etag


def test_new_metadata_for_another_version_is_refused(bucket):
    etag = bucket.put("a", b"one", BY).etag
    bucket.put("a", b"two", BY)
    with pytest.raises(UnstableError):
        bucket.restamp("a", PutBy({}), etag=etag)


def test_a_copy_inside_the_bucket_has_content_and_metadata(bucket):
    bucket.put("a", b"hello", BY)
    assert bucket.can_copy_from(bucket)
    answer = bucket.copy_from(bucket, bucket.head("a"), "b", None)
    found, content = bucket.get("b")
    assert bytes(content) == b"hello"
    assert dict(found.metadata) == STAMP
    assert found.etag == answer.etag


def test_a_copy_can_have_metadata_of_its_own(bucket):
    bucket.put("a", b"hello", BY)
    bucket.copy_from(bucket, bucket.head("a"), "b", PutBy({"uid": "9"}))
    found, content = bucket.get("b")
    assert (dict(found.metadata), bytes(content)) == ({"uid": "9"}, b"hello")


def test_another_bucket_is_copied_through_this_process(bucket, cloud):
    other = open_blobs(Place(f"{cloud.place.url}-other"), os.environ)
    assert not bucket.can_copy_from(other)
    other.close()


def test_metadata_that_is_no_ascii_is_written_as_ascii(bucket):
    bucket.put("a", b"", PutBy({"author": "Zoë"}))
    assert dict(bucket.head("a").metadata) == {"author": "=?UTF-8?B?Wm/Dqw==?="}


# --------------------------------------------------------------- large objects


def test_a_bucket_takes_a_stream_and_no_parts(bucket):
    assert isinstance(bucket, AsStream)
    assert not isinstance(bucket, ByParts)


def test_a_stream_becomes_one_object(bucket):
    piece = os.urandom(1 << 20)
    answer = bucket.put_stream("big", iter([piece] * 40), 40 << 20, BY)
    found, content = bucket.get("big")
    assert content == piece * 40
    assert (found.etag, dict(found.metadata)) == (answer.etag, STAMP)
    assert bytes(bucket.get("big", span=(1 << 20, 9))[1]) == piece[:9]


def test_a_stream_may_come_out_of_a_bucket(bucket):
    content = os.urandom(20 << 20)
    bucket.put("a", content, BY)
    starts = range(0, 20 << 20, 5 << 20)
    chunks = (bucket.get("a", span=(at, 5 << 20))[1] for at in starts)
    bucket.put_stream("b", chunks, 20 << 20, BY)
    assert bucket.get("b")[1] == content


def test_a_large_object_gets_new_metadata_too(bucket):
    piece = os.urandom(1 << 20)
    etag = bucket.put_stream("big", iter([piece] * 20), 20 << 20, BY).etag
    bucket.restamp("big", PutBy({"uid": "9"}), etag=etag)
    found, content = bucket.get("big")
    assert dict(found.metadata) == {"uid": "9"}
    assert content == piece * 20


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_stream_that_is_too_short_makes_nothing(bucket, pieces):
    chunks = iter([bytes(1 << 20)] * pieces)
    with pytest.raises(UnstableError, match="of 67108864 bytes"):
        bucket.put_stream("big", chunks, 64 << 20, BY)
    assert bucket.head("big") is None


def test_an_error_of_the_source_comes_through_and_makes_nothing(bucket):
    def chunks():
        yield bytes(20 << 20)
        raise UnstableError("the source moved")

    with pytest.raises(UnstableError, match="the source moved"):
        bucket.put_stream("big", chunks(), 40 << 20, BY)
    assert bucket.head("big") is None
