import os
from dataclasses import dataclass
from hashlib import md5
from itertools import count

import pytest

from haulage.errors import (
    FatalError,
    MismatchError,
    PermanentError,
    RefusedError,
    TransientError,
    UnstableError,
    VanishedError,
)
from haulage.place import Place
from haulage.storage.base import Carried
from haulage.storage.blobs.bucket import open_blobs
from haulage.storage.bucket import AsStream, ByParts, PutBy
from haulage.storage.faults import DeniedError
from tests.servers.azure import AzureServer, azurite
from tests.servers.google import Blob, GoogleServer, google, md5_of

STAMP = {
    "mtime": "1500000000.123456789",
    "mode": "100644",
    "uid": "0",
    "gid": "7",
    "haulage": "1",
}
BY = PutBy(STAMP, Carried("text/plain", {"Cache-Control": "no-store"}))
_numbers = count()


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


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory):
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def google_server():
    with google() as server:
        yield server


@pytest.fixture(params=["gs", "az"])
def cloud(request, monkeypatch):
    name = f"test-{os.getpid()}-{next(_numbers)}"
    if request.param == "gs":
        server = request.getfixturevalue("google_server")
        server.buckets[name] = {}
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", server.token)
    else:
        server = request.getfixturevalue("azure_server")
        server.make_container(name)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", server.account)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", server.key)
    place = Place(f"{request.param}://{name}", endpoint=server.endpoint)
    return Cloud(server, place)


@pytest.fixture
def bucket(cloud):
    opened = open_blobs(cloud.place, os.environ)
    yield opened
    opened.close()


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


# --------------------------------------------------------------------- listing


def test_a_listing_is_in_order_and_says_what_the_headers_say(bucket):
    for key in ("b", "a/c", "a.txt", "a-b", "é", "a/b/c"):
        bucket.put(key, key.encode(), BY)
    page = bucket.page("")
    assert page.keys == ["a-b", "a.txt", "a/b/c", "a/c", "b", "é"]
    assert page.is_last
    found = bucket.head("a/c")
    row = page.keys.index("a/c")
    assert (page.sizes[row], page.etags[row]) == (found.size, found.etag)
    assert abs(page.modified_ns[row] - found.modified_ns) < 1_000_000_000


def test_a_prefix_lists_what_is_below_it_alone(bucket):
    for key in ("a/b", "a/c", "ab", "b/a"):
        bucket.put(key, b"x", BY)
    assert keys_of(bucket, "a/") == (["a/b", "a/c"], [])
    assert keys_of(bucket, "a") == (["a/b", "a/c", "ab"], [])
    assert keys_of(bucket, "a/c") == (["a/c"], [])


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_have_every_key_once(bucket, limit):
    keys = sorted(f"{top}/{name}" for top in "abc" for name in ("x", "y", "z/1", "z/2"))
    for key in keys:
        bucket.put(key, b"x", BY)
    assert keys_of(bucket, limit=limit) == (keys, [])
    assert keys_of(bucket, "b/", limit=limit)[0] == keys[4:8]


def test_a_token_is_good_in_another_process(bucket, cloud):
    for name in range(5):
        bucket.put(f"k{name}", b"x", BY)
    token = bucket.page("", limit=2).token
    other = open_blobs(cloud.place, os.environ)
    assert other.page("", token=token).keys == ["k2", "k3", "k4"]
    other.close()


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ("a", ["a-", "a/b", "a/c", "b"]),
        ("a-", ["a/b", "a/c", "b"]),
        ("a/", ["a/b", "a/c", "b"]),
        ("a/b", ["a/c", "b"]),
        ("a/b\x01", ["a/c", "b"]),
        ("a/b/../", ["a/c", "b"]),
        ("a//", ["a/b", "a/c", "b"]),
        ("/", ["a-", "a/b", "a/c", "b"]),
        ("a/\U0010ffff", ["b"]),
        ("b", []),
    ],
)
def test_a_listing_begins_behind_any_text(bucket, after, left):
    for key in ("a-", "a/b", "a/c", "b"):
        bucket.put(key, b"x", BY)
    assert keys_of(bucket, after=after) == (left, [])
    assert keys_of(bucket, after=after, limit=1) == (left, [])


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_delimiter_rolls_directories_up(bucket, limit):
    for key in ("a/1", "a/2", "a/b/3", "c", "d/4", "e"):
        bucket.put(key, b"x", BY)
    how = {"delimiter": "/", "limit": limit}
    assert keys_of(bucket, **how) == (["c", "e"], ["a/", "d/"])
    assert keys_of(bucket, "a/", **how) == (["a/1", "a/2"], ["a/b/"])


def test_what_is_rolled_up_is_skipped_not_read(google_server, monkeypatch):
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", google_server.token)
    name = f"skip-{os.getpid()}"
    google_server.buckets[name] = {}
    for number in range(20_000):
        google_server.put(name, f"a/{number}", b"x")
    google_server.put(name, "b", b"x")
    bucket = open_blobs(Place(f"gs://{name}", endpoint=google_server.endpoint), {})
    google_server.asked.clear()
    assert keys_of(bucket, delimiter="/") == (["b"], ["a/"])
    assert len(google_server.asked) == 2
    bucket.close()


# ----------------------------------------------------------------- directories


def test_a_directory_has_metadata_and_is_listed_as_one(bucket):
    bucket.put("d/a", b"x", BY)
    answer = bucket.put("d/", b"", PutBy(STAMP | {"mode": "40755"}))
    found = bucket.head("d/")
    assert (found.key, found.etag) == ("d/", answer.etag)
    assert found.metadata["mode"] == "40755"
    assert keys_of(bucket) == (["d/", "d/a"], [])
    assert keys_of(bucket, "d/") == (["d/", "d/a"], [])
    assert keys_of(bucket, delimiter="/") == ([], ["d/"])
    bucket.remove("d/")
    assert bucket.head("d/") is None
    assert keys_of(bucket) == (["d/a"], [])


def test_a_directory_comes_before_what_is_in_it(bucket):
    names = [" a", "!", "!a", "#", "-", ".a", "0", "a"]
    for name in names:
        bucket.put(f"d/{name}", b"x", BY)
    bucket.put("d/", b"", BY)
    assert keys_of(bucket)[0] == ["d/", *(f"d/{name}" for name in names)]


def test_a_directory_that_another_tool_made_is_no_file(bucket, cloud):
    cloud.put("a/dir/")
    cloud.put("a/dir/x", b"x")
    cloud.put("a/dir-2", b"x")
    cloud.put("a/empty")
    assert keys_of(bucket) == (["a/dir-2", "a/dir/", "a/dir/x", "a/empty"], [])
    found = bucket.head("a/dir/")
    assert (found.key, found.size, dict(found.metadata)) == ("a/dir/", 0, {})
    assert bucket.head("a/dir") is None
    assert bucket.head("a/other/") is None


def test_an_empty_file_and_a_directory_of_the_same_name_are_two(bucket, cloud):
    cloud.put("a")
    cloud.put("a/")
    assert keys_of(bucket) == (["a", "a/"], [])


def test_an_object_with_data_is_kept_apart_from_a_directory_of_its_name(bucket, cloud):
    cloud.put("a", b"data")
    cloud.put("a/")
    assert keys_of(bucket) == (["a", "a/"], [])


def test_a_key_that_is_named_like_what_stands_for_a_directory_is_refused(bucket):
    with pytest.raises(PermanentError, match="stand for directories"):
        bucket.put("d/!haulage", b"x", BY)


# -------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "key", ["a//b", "/a", "a/./b", "a/../b", "..", "a\nb", "a\x7f"]
)
def test_a_key_that_obstore_would_bend_is_refused(bucket, key):
    with pytest.raises(PermanentError, match="rename it"):
        bucket.put(key, b"x", BY)
    with pytest.raises(PermanentError):
        bucket.get(key)


@pytest.mark.parametrize("key", ["a//b", "a/./b", "a/../b", "..", "a\x7fb"])
def test_a_listing_that_would_leave_a_key_out_fails_and_names_it(bucket, cloud, key):
    if not cloud.is_google and key in ("a/./b", "a/../b", ".."):
        pytest.skip("Azurite resolves such segments when they are written")
    cloud.put("other", b"x")
    cloud.put(key, b"x")
    with pytest.raises(FatalError, match="rename") as caught:
        bucket.page("")
    assert key.replace("\x7f", "\\x7f") in str(caught.value)


def test_a_bucket_that_is_missing_is_refused(cloud):
    gone = Place(f"{cloud.place.url}-gone", endpoint=cloud.place.endpoint)
    bucket = open_blobs(gone, os.environ)
    with pytest.raises(RefusedError, match="gone"):
        bucket.check()
    with pytest.raises(RefusedError, match="own tools"):
        bucket.check(create=True)
    bucket.close()


def test_a_bucket_that_is_there_passes(bucket):
    bucket.check()


def test_a_wrong_key_stops_the_run_and_is_not_shown(cloud, monkeypatch):
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "c2VjcmV0LXRoYXQtaXMtd3Jvbmc=")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0LXRoYXQtaXMtd3Jvbmc=")
    bucket = open_blobs(cloud.place, os.environ)
    with pytest.raises(DeniedError) as caught:
        bucket.put("a", b"x", BY)
    assert "c2Vj" not in str(caught.value)
    with pytest.raises(DeniedError):
        bucket.page("")
    bucket.close()


def test_azure_takes_only_identifiers_as_names_of_metadata(bucket, cloud):
    by = PutBy({"not-a-name": "x"})
    if cloud.is_google:
        bucket.put("a", b"", by)
        assert dict(bucket.head("a").metadata) == {"not-a-name": "x"}
    else:
        with pytest.raises(PermanentError, match="not-a-name"):
            bucket.put("a", b"", by)


def test_what_only_amazon_has_is_refused(cloud):
    place = Place(cloud.place.url, encryption="aws:kms", requester_pays=True)
    with pytest.raises(RefusedError, match="encryption, requester_pays"):
        open_blobs(place, os.environ)


# ------------------------------------------------------- one cloud or the other


def test_azure_keys_come_from_variables_of_the_places_own(azure_server, monkeypatch):
    for name in ("NAME", "KEY"):
        monkeypatch.delenv(f"AZURE_STORAGE_ACCOUNT_{name}", raising=False)
    name = f"own-{os.getpid()}"
    azure_server.make_container(name)
    place = Place(f"az://{name}", endpoint=azure_server.endpoint, secrets="NIGHT")
    keys = {
        "NIGHT_ACCESS_KEY_ID": azure_server.account,
        "NIGHT_SECRET_ACCESS_KEY": azure_server.key,
    }
    bucket = open_blobs(place, keys)
    bucket.put("a", b"x", BY)
    bucket.close()
    with pytest.raises(RefusedError, match="NIGHT_ACCESS_KEY_ID"):
        open_blobs(place, {})


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
    assert [line.split()[0] for line in server.asked] == [
        "PUT",
        "GET",
        "HEAD",
        "DELETE",
    ]


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

    server.buckets[bucket.site.place.bucket] = Bent()
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
