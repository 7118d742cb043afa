"""Whether objects can stand for directories: only what a server does always counts."""

import pytest

from haulage.errors import PermanentError, TransientError
from haulage.storage.buckets.objects.markers import keeps_markers
from haulage.storage.buckets.pace import ThrottledError
from tests.servers.faults import (
    INTERNAL_ERROR,
    LOST_ANSWER,
    SLOW_DOWN,
    TOO_MANY_REQUESTS,
    Answer,
    Rule,
)
from tests.servers.proxy import proxy
from tests.storage.s3_opening import opened
from tests.storage.test_objects import seen_for
from tests.stores import objects_shelf

pytest_plugins = ["tests.servers.fixtures"]

NO_SUCH_CLASS = Answer(400, "InvalidStorageClass")


@pytest.mark.parametrize("name", ["moto_s3", "localstack", "rclone_s3"])
def test_whether_objects_stand_for_directories_is_found_out_without_a_trace(
    request, bucket, name
):
    server = request.getfixturevalue(name)
    s3 = opened(server, bucket(server))
    assert keeps_markers(s3, "a/b/") == (name != "rclone_s3")
    assert list(s3.page("").keys) == []


@pytest.mark.parametrize("target", ["/$", "/x$"], ids=["marker", "inside"])
@pytest.mark.parametrize(
    "fault",
    [SLOW_DOWN, TOO_MANY_REQUESTS, INTERNAL_ERROR, Answer(500, ""), LOST_ANSWER],
    ids=lambda fault: getattr(fault, "code", "lost answer") or "wordless",
)
def test_what_passes_tells_nothing_of_directories(way, fault, target):
    between, s3 = way
    between.add(Rule(fault, "PUT", target, times=4))
    assert keeps_markers(s3, "a/b/")
    assert list(s3.page("").keys) == []


def test_a_server_that_is_throttled_for_long_is_an_error(way):
    between, s3 = way
    between.add(Rule(SLOW_DOWN, "PUT", "/x$", times=None))
    with pytest.raises(ThrottledError, match="tried 5 times"):
        keeps_markers(s3, "a/b/")
    assert list(s3.page("").keys) == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(NO_SUCH_CLASS, PermanentError), (INTERNAL_ERROR, TransientError)],
    ids=["permanent", "transient"],
)
def test_a_target_that_takes_no_object_at_all_is_an_error(way, fault, kind):
    between, s3 = way
    between.add(Rule(fault, "PUT", times=None))
    with pytest.raises(kind, match=fault.code):
        keeps_markers(s3, "a/b/")


def test_a_server_that_takes_markers_is_asked_for_them_and_nothing_else(way):
    between, s3 = way
    assert keeps_markers(s3, "a/b/")
    assert len(between.seen("PUT")) == 2


def test_a_directory_is_finished_with_as_many_tries_as_any_object(
    moto_s3, bucket, tmp_path
):
    name = bucket(moto_s3)
    with proxy(
        moto_s3.endpoint, Rule(INTERNAL_ERROR, "PUT", "/d/$", times=4)
    ) as between:
        shelf = objects_shelf(moto_s3.at(between.endpoint), name, tmp_path)
        store = shelf.open()
        assert store.finish_dir(b"d/", seen_for(b"d/", mode=0o700)).etag
        assert store.look(b"d/").entry.mode == 0o700
