"""Tags of objects, asked of servers that have some, that have none, and that fail."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from haulage.errors import TransientError
from haulage.storage.buckets.protocol import PutBy
from haulage.storage.store import Carried
from tests.servers.faults import INTERNAL_ERROR, SLOW_DOWN, Answer, Cut, Delay, Rule
from tests.servers.proxy import proxy
from tests.storage.s3_opening import opened, put

pytest_plugins = ["tests.servers.fixtures"]

THREADS = 16
TAGS = (("a b", "c+d=e"), ("run", "7"), ("none", ""))
TAGGED = PutBy({}, Carried(tags=TAGS))
WORDLESS = Answer(500, "")
LIKE_TAGS = b"<Tagging><TagSet/></Tagging>"


WRITTEN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>
  <Tag><Value>1 &lt; 2 &#x26; &quot;</Value><Key>a&amp;b</Key></Tag>
  <Tag><Key>Gr\xc3\xbc\xc3\x9fe</Key><Value/></Tag>
</TagSet></Tagging>
"""


@contextmanager
def behind_proxy(server, bucket, *rules):
    name = bucket(server)
    with proxy(server.endpoint, *rules) as between:
        s3 = opened(server.at(between.endpoint), name)
        yield between, s3
        s3.close()


def asked_at_once(s3, keys):
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(s3.tags, keys))


@pytest.mark.parametrize("name", ["moto_s3", "localstack"])
def test_tags_are_read_of_any_key(request, bucket, name):
    server = request.getfixturevalue(name)
    s3 = opened(server, bucket(server))
    for key in ("key", "odd//key"):
        put(s3, key, by=TAGGED)
        assert sorted(s3.tags(key)) == sorted(TAGS)
    put(s3, "bare", by=PutBy({}))
    assert s3.tags("bare") == ()


@pytest.mark.parametrize(
    "fault", [WORDLESS, INTERNAL_ERROR, SLOW_DOWN, Cut(30)], ids=str
)
def test_faults_that_pass_lose_no_tags_however_many_ask_at_once(moto_s3, bucket, fault):
    keys = [f"key-{i:02}" for i in range(THREADS)]
    rules = [Rule(fault, "GET", rf"{key}\?tagging", times=4) for key in keys]
    with behind_proxy(moto_s3, bucket, *rules) as (_, s3):
        for key in keys:
            put(s3, key, by=TAGGED)
        answers = asked_at_once(s3, keys)
    assert [sorted(each) for each in answers] == [sorted(TAGS)] * THREADS


def test_a_fault_that_lasts_is_an_error_and_not_an_object_without_tags(moto_s3, bucket):
    rule = Rule(WORDLESS, "GET", "tagging", times=None)
    with behind_proxy(moto_s3, bucket, rule) as (_, s3):
        put(s3, "key", by=TAGGED)
        with pytest.raises(TransientError, match="tried 5 times"):
            s3.tags("key")


def test_a_server_without_tags_costs_each_of_many_threads_one_question_at_most(
    rclone_s3, bucket
):
    keys = [f"key-{i:02}" for i in range(THREADS)]
    late = Rule(Delay(0.3), "GET", "tagging", times=None)  # so that all wait at once
    with behind_proxy(rclone_s3, bucket, late) as (between, s3):
        for key in keys:
            put(s3, key)
        assert asked_at_once(s3, keys) == [()] * THREADS
        assert len(between.seen("GET", "tagging")) <= THREADS
        asked = len(between.seen("GET", "tagging"))
        assert asked_at_once(s3, keys) == [()] * THREADS
        assert len(between.seen("GET", "tagging")) == asked


def test_tags_may_have_what_xml_can_only_write_otherwise(rclone_s3, bucket):
    s3 = opened(rclone_s3, bucket(rclone_s3))
    put(s3, "key", WRITTEN)  # which that server answers as it is
    assert s3.tags("key") == (("a&b", '1 < 2 & "'), ("Grüße", ""))


@pytest.mark.parametrize(
    "content", [b"", b"<a>b</a>", b"<Error><Code>SlowDown</Code></Error>", LIKE_TAGS]
)
def test_an_object_that_comes_instead_of_its_tags_may_have_any_content(
    rclone_s3, bucket, content
):
    s3 = opened(rclone_s3, bucket(rclone_s3))
    put(s3, "key", content)
    assert s3.tags("key") == ()


def test_a_large_object_that_comes_instead_of_its_tags_is_not_read(rclone_s3, bucket):
    with behind_proxy(rclone_s3, bucket) as (between, s3):
        put(s3, "large", bytes(40 << 20))
        assert s3.tags("large") == ()
        assert s3.reach.wire.send("HEAD", "large").headers["ETag"]
        assert len(between.seen("GET", "tagging")) == 1
