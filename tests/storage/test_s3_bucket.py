"""One contract, on three servers; what a server cannot do is told in `WEAK`."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from haulage.errors import (
    FatalError,
    PermanentError,
    RefusedError,
    TransientError,
    UnstableError,
    VanishedError,
)
from haulage.storage.buckets.protocol import PutBy
from haulage.storage.store import Carried
from tests.servers.proxy import proxy
from tests.storage.s3_opening import BY, METADATA, opened, place_of, put

pytest_plugins = ["tests.servers.fixtures"]

WEAK = "rclone"  # no tags, no odd keys, no `-N` etags, no copies of parts
AS_PATHS = (WEAK, "versitygw", "minio")  # keys are names of files there
ODD_KEYS = ["a//b", "/a", "a/", "./a", "a/../b", "a/."]
PLAIN_KEYS = ["a", "a b", "a+b%20c&d?e#f", "Grüße/\U0001f600", "a'\"<>\\^`{|}~", "..."]
MIB = 1 << 20


@pytest.fixture(
    params=[
        *("localstack", "moto_s3", "rclone_s3", "versitygw"),
        pytest.param("minio", marks=pytest.mark.torture),
    ]
)
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def s3(server, bucket):
    made = opened(server, bucket(server))
    yield made
    made.close()


def keys_for(server):
    return PLAIN_KEYS if server.name in AS_PATHS else PLAIN_KEYS + ODD_KEYS


def test_what_is_put_is_got_with_its_metadata_under_any_key(server, s3):
    for key in keys_for(server):
        content = key.encode()
        answer = s3.put(key, content, BY)
        found, got = s3.get(key, etag=answer.etag)
        assert bytes(got) == content
        assert answer.proven
        assert answer.etag.decode() == hashlib.md5(content).hexdigest()
        assert found == s3.head(key)
        assert (found.key, found.size, found.etag) == (key, len(content), answer.etag)
        assert found.metadata == METADATA
        assert found.carried == BY.carried
        assert not found.multipart


def test_keys_are_listed_as_they_were_put_and_can_be_removed(server, s3):
    keys = keys_for(server)
    for key in keys:
        put(s3, key)
    page = s3.page("")
    assert sorted(page.keys) == sorted(keys)
    assert page.is_last
    assert page.sizes.tolist() == [5] * len(keys)
    assert set(page.etags) == {hashlib.md5(b"hello").hexdigest().encode()}
    for key in keys:
        s3.remove(key)
        assert s3.head(key) is None
    assert list(s3.page("").keys) == []


def test_many_threads_share_a_bucket(server, s3):
    odd = "" if server.name in (WEAK, "minio") else "/"

    def go(number):
        key = f"dir{odd * (number % 2)}/{number}"
        etag = put(s3, key, key.encode())
        return bytes(s3.get(key, etag=etag)[1]) == key.encode()

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(go, range(64)))
    assert len(s3.page("dir").keys) == 64


def test_an_empty_object_is_an_object(s3, server):
    assert s3.put("empty", b"", BY).proven
    found, got = s3.get("empty")
    assert (found.size, bytes(got)) == (0, b"")
    if server.name != WEAK:
        assert s3.put("marker/", b"", BY).proven
        assert s3.head("marker/").metadata == METADATA


def test_a_range_is_exactly_what_was_asked_for(server, s3):
    for key in keys_for(server)[-2:]:
        etag = put(s3, key, b"0123456789")
        found, got = s3.get(key, span=(3, 4), etag=etag)
        assert bytes(got) == b"3456"
        assert found.size == 10
        for beyond in ((10, 4), (8, 4)):
            with pytest.raises(UnstableError):
                s3.get(key, span=beyond, etag=etag)


def test_another_version_than_asked_for_is_unstable(s3):
    etag = put(s3, "key", b"one")
    put(s3, "key", b"two")
    with pytest.raises(UnstableError, match="key"):
        s3.get("key", etag=etag)
    with pytest.raises(UnstableError, match="key"):
        s3.get("key", span=(0, 1), etag=etag)


def test_what_is_not_there_has_vanished(s3):
    assert s3.head("nothing") is None
    with pytest.raises(VanishedError, match="nothing"):
        s3.get("nothing")
    s3.remove("nothing")


def test_a_missing_bucket_is_fatal_and_never_an_absent_key(server):
    missing = opened(server, "there-is-none")
    with pytest.raises(FatalError, match="there-is-none"):
        missing.head("key")
    with pytest.raises(FatalError, match="there-is-none"):
        missing.get("key")
    with pytest.raises(FatalError, match="there-is-none"):
        missing.put("key", b"1", BY)
    with pytest.raises(FatalError, match="there-is-none"):
        missing.page("")


def test_a_bucket_is_made_on_request_only(server):
    made = opened(server, f"made-{server.name}")
    with pytest.raises(RefusedError, match=f"made-{server.name}"):
        made.check()
    made.check(create=True)
    made.check()
    assert put(made, "key")


def test_metadata_and_headers_that_are_no_ascii_arrive_encoded(s3):
    put(s3, "key", by=PutBy({"author": "Jörg"}))
    assert s3.head("key").metadata == {"author": "=?UTF-8?B?SsO2cmc=?="}


def test_metadata_named_like_a_header_stays_metadata(s3):
    put(s3, "key", by=PutBy({"content-type": "mine"}, Carried("text/html")))
    assert s3.head("key").carried.content_type == "text/html"


def test_other_metadata_moves_no_content_and_needs_the_version(server, s3):
    etag = put(s3, "key")
    answer = s3.restamp("key", PutBy({"mtime": "2"}, Carried("a/b")), etag=etag)
    found = s3.head("key")
    assert found.metadata == {"mtime": "2"}
    assert found.etag == answer.etag
    assert bytes(s3.get("key")[1]) == b"hello"
    with pytest.raises(UnstableError):
        s3.restamp("key", BY, etag=b"0" * 32)
    with pytest.raises(VanishedError):
        s3.restamp("nothing", BY, etag=etag)


def test_the_server_copies_with_metadata_or_with_what_replaces_it(server, s3, bucket):
    other = opened(server, bucket(server))
    put(s3, "from/here")
    found = s3.head("from/here")
    assert other.can_copy_from(s3)
    copied = other.copy_from(s3, found, "to", None)
    assert (copied.etag, copied.proven) == (found.etag, True)
    assert other.head("to").metadata == METADATA
    assert other.head("to").carried.content_type == "text/plain"
    other.copy_from(s3, found, "to", PutBy({"mtime": "9"}))
    kept = METADATA if server.name == WEAK else {}  # it adds to what there is
    assert other.head("to").metadata == {**kept, "mtime": "9"}


def test_a_large_object_is_copied_by_parts_with_all_that_it_carries(server, bucket):
    if server.name == WEAK:
        pytest.skip("it copies no parts")
    s3 = opened(server, bucket(server), copied_at_once=5 * MIB)
    content = bytes(range(256)) * (44 * MIB // 1024)  # two parts and a bit
    tagged = PutBy(METADATA, replace(BY.carried, tags=(("team", "a b"),)))
    put(s3, "large", content, tagged)
    answer = s3.copy_from(s3, s3.head("large"), "copy", None)
    found, got = s3.get("copy")
    assert got == content
    assert found.etag == answer.etag
    assert answer.proven
    assert found.etag.endswith(b"-3")
    assert found.metadata == METADATA
    assert found.carried == BY.carried
    assert s3.tags("copy") == (("team", "a b"),)
    assert list(s3.uploads("")) == []


def test_tags_go_with_an_object_and_the_places_win(server, bucket):
    if server.name == WEAK:
        with proxy(server.endpoint) as between:
            s3 = opened(server.at(between.endpoint), bucket(server))
            for key in ("plain", "other"):
                put(s3, key)
                assert s3.tags(key) == ()
            asked = {seen.target for seen in between.seen("GET", "tagging")}
        assert len(asked) == 1  # it has none, and is not asked again
        return
    s3 = opened(server, bucket(server), tags=(("run", "7"), ("by", "haulage")))
    odd = "odd/key" if server.name == "minio" else "odd//key"
    for key in ("plain", odd):
        put(s3, key, by=PutBy({}, Carried(tags=(("a b", "c+d=e"), ("run", "1")))))
        assert dict(s3.tags(key)) == {"a b": "c+d=e", "run": "7", "by": "haulage"}
    put(s3, "bare", by=PutBy({}))
    assert dict(s3.tags("bare")) == {"run": "7", "by": "haulage"}


@pytest.mark.parametrize("checksum", ["crc64nvme", "sha256", "md5", "none"])
def test_every_checksum_that_can_be_asked_for_is_taken(server, bucket, checksum):
    s3 = opened(server, bucket(server), checksum=checksum)
    assert s3.put("key", b"content", BY).proven
    assert bytes(s3.get("key")[1]) == b"content"


def test_an_object_is_made_of_parts_in_any_order(server, s3):
    first, second = bytes(5 * MIB), b"the end"
    upload = s3.begin_upload("parts/here", BY)
    prefix = (
        "parts/here" if server.name == "minio" else "parts/"
    )  # it takes a whole key
    assert [each.upload_id for each in s3.uploads(prefix)] == [upload]
    last = s3.put_part("parts/here", upload, 2, memoryview(second))
    parts = [s3.put_part("parts/here", upload, 1, memoryview(first)), last]
    answer = s3.finish_upload("parts/here", upload, parts)
    found, got = s3.get("parts/here")
    assert got == first + second
    assert (found.etag, found.metadata) == (answer.etag, METADATA)
    assert answer.etag in s3.page("parts/").etags
    assert answer.proven
    assert found.multipart == (server.name != WEAK)
    assert list(s3.uploads("")) == []


def test_an_upload_that_is_dropped_twice_is_gone_and_so_are_its_parts(server, s3):
    upload = s3.begin_upload("key", BY)
    s3.put_part("key", upload, 1, b"part")
    s3.abort_upload("key", upload)
    s3.abort_upload("key", upload)
    assert list(s3.uploads("")) == []
    with pytest.raises(TransientError if server.name == "moto" else VanishedError):
        s3.put_part("key", upload, 1, b"part")
    assert s3.head("key") is None


def test_only_the_version_that_was_named_is_removed(server, s3):
    put(s3, "key")
    if server.name == "moto":
        with pytest.raises(UnstableError):
            s3.remove("key", etag=b"0" * 32)
    s3.remove("key", etag=s3.head("key").etag)
    assert s3.head("key") is None


def test_an_endpoint_where_nobody_listens_is_refused_by_name(server):
    place = place_of(server, "bucket", endpoint="http://127.0.0.1:9")
    with pytest.raises(RefusedError, match=r"127\.0\.0\.1:9"):
        opened(server, "bucket", endpoint=place.endpoint).check()
    with pytest.raises(RefusedError, match="no-such-host"):
        opened(server, "bucket", endpoint="https://no-such-host.invalid").check()


def test_wrong_keys_are_refused_by_a_server_that_looks_and_never_shown(
    rclone_s3, bucket
):
    name = bucket(rclone_s3)
    for wrong in (
        replace(rclone_s3, secret_key="WRONGSECRETWRONGSECRET"),
        replace(rclone_s3, access_key="WRONGKEYWRONGKEY"),
    ):
        s3 = opened(wrong, name)
        with pytest.raises(RefusedError, match=name) as refused:
            s3.check()
        assert "credentials" in str(refused.value)
        for call in (s3.head, s3.get, lambda key, s3=s3: s3.put(key, b"1", BY)):
            with pytest.raises(FatalError, match=name) as failed:
                call("key")
            assert "WRONG" not in f"{refused.value}{failed.value}{s3!r}"


def test_a_server_without_a_feature_fails_one_key_only(rclone_s3, bucket):
    s3 = opened(rclone_s3, bucket(rclone_s3))
    with pytest.raises(PermanentError):
        s3.put("a//b", b"1", BY)
