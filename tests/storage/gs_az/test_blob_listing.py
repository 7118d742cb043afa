"""Listings of Google and Azure have each key once and in order, directories too."""

import os
from urllib.parse import unquote

import pytest

from haulage.errors import PermanentError
from haulage.place import Place
from haulage.storage.buckets.gs_az.bucket import open_blobs
from haulage.storage.buckets.protocol import PutBy, holds_more_than
from tests.storage.gs_az.clouds import BY, STAMP, keys_of

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
    assert keys_of(bucket, delimiter="/") == (["b"], ["a/"])
    asked = [line for line in google_server.asked if f"/{name}?" in unquote(line)]
    assert len(asked) == 2
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


def test_a_directory_is_told_from_what_is_below_it(bucket):
    bucket.put("d/", b"", PutBy({}))
    bucket.put("d", b"", PutBy({}))
    bucket.put("d-beside", b"", PutBy({}))
    assert not holds_more_than(bucket, "d/")
    bucket.put("d/!", b"", PutBy({}))
    assert holds_more_than(bucket, "d/")


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
