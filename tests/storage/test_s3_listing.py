import numpy as np
import pytest

from haulage.errors import FatalError, TransientError
from haulage.place import Place
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.protocol import holds_more_than
from haulage.storage.buckets.s3.bucket import open_s3
from haulage.storage.buckets.s3.xml import read_page
from tests.servers.strange import Habit, strange
from tests.storage.s3_opening import SOON, opened, put

pytest_plugins = ["tests.servers.fixtures"]

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
OBJECT = (
    "<Contents><Key>{}</Key><LastModified>2009-02-13T23:31:30.123Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


def page_of(*parts, truncated="false", encoded=True):
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    head = (
        f"<?xml?>\n<ListBucketResult>{encoding}<IsTruncated>{truncated}</IsTruncated>"
    )
    return f"{head}{''.join(parts)}</ListBucketResult>".encode()


def listed(endpoint):
    place = Place("s3://there", endpoint=endpoint)
    return open_s3(place, KEYS, pace=Pace(SOON))


def walk(bucket, prefix="", delimiter=None, limit=2):
    """Return all keys and prefixes, page by page, by the last key of each page."""
    seen, after = [], None
    while True:
        page = bucket.page(prefix, after=after, delimiter=delimiter, limit=limit)
        ends = [*page.keys, *(each + "\U0010ffff" for each in page.prefixes)]
        seen += [*page.keys, *page.prefixes]
        if page.is_last:
            return seen
        after = max(ends)


@pytest.fixture(params=["localstack", "moto_s3", "rclone_s3"])
def server(request):
    return request.getfixturevalue(request.param)


def test_pages_go_on_behind_keys_and_behind_prefixes(server, bucket):
    s3 = opened(server, bucket(server))
    # LocalStack compares keys as they are in URLs, and so loses some of these.
    odd = ["b/1", "e"] if server.name == "localstack" else ["b&+ %/1", "é"]
    keys = ["a/1", "a/2", "a/3", odd[0], "c", "d/x/1", "d/x/2", odd[1]]
    for key in keys:
        put(s3, key)
    assert walk(s3) == sorted(keys)
    rolled_up = ["a/", odd[0][:-1], "c", "d/", odd[1]]
    assert sorted(walk(s3, delimiter="/")) == rolled_up
    assert walk(s3, prefix="a/") == ["a/1", "a/2", "a/3"]
    assert walk(s3, prefix="d/", delimiter="/") == ["d/x/"]
    first = s3.page("", limit=3)
    second = s3.page("", limit=9, token=first.token)
    assert [*first.keys, *second.keys] == sorted(keys)


def test_keys_are_decoded_once_whichever_way_the_server_wrote_them():
    encoded = page_of(OBJECT.format("a%2Bb+c%2525%26amp%3B%0A", 1))
    assert read_page(encoded, "x").keys == ["a+b c%25&amp;\n"]
    plain = page_of(
        OBJECT.format("a+b%20c&amp;amp;&lt;&#10;&#x1;&#x1F600;", 1), encoded=False
    )
    assert read_page(plain, "x").keys == ["a+b%20c&amp;<\n\x01\U0001f600"]


def test_sizes_times_and_etags_are_those_of_their_keys():
    page = read_page(page_of(OBJECT.format("a", 0), OBJECT.format("b", 1 << 42)), "x")
    assert page.sizes.tolist() == [0, 1 << 42]
    assert page.sizes.dtype == page.modified_ns.dtype == np.int64
    assert page.modified_ns.tolist() == [1_234_567_890_123_000_000] * 2
    assert page.etags == [b"d41d8cd98f00b204e9800998ecf8427e"] * 2
    empty = read_page(page_of(), "x")
    assert (len(empty.sizes), len(empty.modified_ns), empty.is_last) == (0, 0, True)


def test_an_object_without_an_etag_has_an_empty_one():
    bare = OBJECT.format("a", 1)
    bare = bare[: bare.index("<ETag>")] + bare[bare.index("<Size>") :]
    page = read_page(page_of(bare, OBJECT.format("b", 2)), "x")
    assert page.etags == [b"", b"d41d8cd98f00b204e9800998ecf8427e"]
    assert page.sizes.tolist() == [1, 2]


@pytest.mark.parametrize("cut", [1, 50, 200])
def test_a_page_cut_short_is_no_page(cut):
    with pytest.raises(TransientError, match="cut short"):
        read_page(page_of(OBJECT.format("a", 1))[:-cut], "x")


def test_an_error_document_is_its_error():
    body = b"<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>"
    with pytest.raises(FatalError, match="gone"):
        read_page(body, "x")


def test_a_key_that_is_no_utf8_stops_the_listing():
    with pytest.raises(FatalError, match="UTF-8"):
        read_page(page_of(OBJECT.format("a%FF", 1)), "x")


def test_a_page_that_is_empty_but_not_the_last_is_gone_on_behind():
    with strange(["a", "b", "c"], Habit.EMPTY_PAGE, page_keys=2) as endpoint:
        s3 = listed(endpoint)
        seen, page = [], s3.page("")
        while not page.is_last:
            page = s3.page("", token=page.token)
            seen += page.keys
    assert seen == ["a", "b", "c"]


def test_a_directory_is_not_taken_for_empty_by_an_empty_page():
    with strange(["d/", "d/x", "e"], Habit.EMPTY_PAGE, page_keys=1) as endpoint:
        s3 = listed(endpoint)
        assert holds_more_than(s3, "d/")
        assert not holds_more_than(s3, "e")


def test_a_token_that_comes_again_ends_the_listing_with_an_error():
    keys = [f"{number:03}" for number in range(9)]
    with strange(keys, Habit.REPEATED_TOKEN, page_keys=2) as endpoint:
        s3 = listed(endpoint)
        first = s3.page("")
        with pytest.raises(FatalError, match="token"):
            s3.page("", token=first.token)


def test_a_server_that_says_it_goes_on_and_gives_nothing_is_an_error(monkeypatch):
    s3 = listed("http://127.0.0.1:9")
    monkeypatch.setattr(
        s3.reach.wire, "send", lambda *_, **__: _Got(page_of(truncated="true"))
    )
    with pytest.raises(FatalError, match="empty"):
        s3.page("")


class _Got:
    def __init__(self, body):
        self.body = body
