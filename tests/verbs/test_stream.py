"""Ranges of large entries between two directories, whose parts are small here."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import cast

import pytest

from haulage.errors import CancelledError, FatalError, MismatchError, TransientError
from haulage.storage.buckets.sums import Checksum, digest, range_sums, sums_of_parts
from haulage.storage.checksums import Checksum as ContentChecksum
from haulage.storage.resumable import checksum_of as checksum_of_ranges
from haulage.storage.store import Extent, Writing
from haulage.storage.tree.handles import FileReading
from haulage.verbs.attempt.attempt import Room
from haulage.verbs.stream import check_whole, content_of, hashed, move
from tests.engine_builders import checksum_of, linear_checksum_of, put
from tests.stores import RANGE, carrying, files_shelf, open_descriptors

PART = RANGE
CONTENT = os.urandom(PART) * 40 + b"tail"
SIZE = len(CONTENT)


pytestmark = pytest.mark.usefixtures("small_ranges")


@pytest.fixture
def shelves(tmp_path):
    source, target = files_shelf(tmp_path / "source"), files_shelf(tmp_path / "target")
    put(tmp_path / "source" / "tree", b"large", CONTENT)
    return source, target


@pytest.fixture
def attempt(shelves):
    source, target = shelves
    with carrying(source.open(), target.open(), room_bytes=3 * PART) as made:
        yield made


class Breaking:
    """A writing that fails at one offset."""

    def __init__(self, writing, at, error):
        self._writing, self._at, self._error = writing, at, error
        self.done = writing.done

    def write(self, offset, content, digest):
        if offset == self._at:
            raise self._error
        self._writing.write(offset, content, digest)


def begin(attempt, seen, *, shared=False):
    return attempt.target.begin(b"large", 0, seen, shared=shared, prove=True)


def test_every_byte_is_moved_and_hashed_in_its_order(attempt, shelves):
    with attempt.source.open(b"large", SIZE) as reading:
        writing = begin(attempt, reading.seen)
        move(attempt, reading, writing, Extent(0, SIZE))
        assert writing.finish(reading.seen).checksum == checksum_of(CONTENT)
    assert (shelves[1].root / "large").read_bytes() == CONTENT
    assert attempt.moved == SIZE


def test_an_extent_alone_is_moved(attempt):
    with attempt.source.open(b"large", SIZE) as reading:
        writing = begin(attempt, reading.seen, shared=True)
        extent = Extent(2 * PART, 3 * PART)
        move(attempt, reading, writing, extent)
        assert {at: done.digest for at, done in writing.done.items()} == {
            at * PART: checksum_of(CONTENT[at * PART : (at + 1) * PART])
            for at in (2, 3, 4)
        }
        writing.abandon()


def test_what_was_done_before_is_not_read_again(attempt, shelves):
    with attempt.source.open(b"large", SIZE) as reading:
        first = begin(attempt, reading.seen, shared=True)
        move(attempt, reading, first, Extent(0, 10 * PART))
        first.leave()
        before = attempt.moved
        second = begin(attempt, reading.seen, shared=True)
        move(attempt, reading, second, Extent(0, SIZE))
        assert attempt.moved - before == SIZE - 10 * PART
        made = second.finish(reading.seen)
    assert made.checksum == checksum_of(CONTENT)


@pytest.mark.parametrize("at", [0, 7 * PART, 40 * PART])
@pytest.mark.parametrize("error", [FatalError("full"), TransientError("later")])
def test_a_write_that_fails_is_raised_and_gives_all_room_back(attempt, at, error):
    with attempt.source.open(b"large", SIZE) as reading:
        writing = begin(attempt, reading.seen)
        breaking = Breaking(writing, at, error)
        with pytest.raises(type(error)):
            move(attempt, reading, cast("Writing", breaking), Extent(0, SIZE))
        writing.leave()


def test_a_read_that_fails_is_raised_and_gives_all_room_back(attempt, shelves):
    with attempt.source.open(b"large", SIZE) as reading:
        writing = begin(attempt, reading.seen)
        os.truncate(shelves[0].root / "large", 20 * PART)
        with pytest.raises(TransientError, match="shrank"):
            move(attempt, reading, writing, Extent(0, SIZE))
        with pytest.raises(TransientError, match="shrank"):
            content_of(attempt, reading)
        writing.leave()


def test_cancelling_ends_a_large_entry_between_two_ranges(attempt):
    attempt.cancelled = lambda: attempt.moved > 3 * PART
    with attempt.source.open(b"large", SIZE) as reading:
        writing = begin(attempt, reading.seen)
        with pytest.raises(CancelledError):
            move(attempt, reading, writing, Extent(0, SIZE))
        writing.leave()
    assert attempt.moved < 20 * PART


def test_more_large_entries_than_there_is_room_for_all_get_through(shelves):
    source, target = shelves
    for number in range(12):
        put(source.root, b"%d" % number, CONTENT)
    before = open_descriptors()
    limits = (1, PART, 2 * PART, 5 * PART)  # one of them less than a single part

    def one(attempt, number):
        path = b"%d" % number
        with attempt.opened(attempt.source, path, SIZE, None) as reading:
            writing = attempt.target.begin(path, number, reading.seen, shared=False)
            move(attempt, reading, writing, Extent(0, SIZE))
            writing.finish(reading.seen)
            found = content_of(attempt, reading)
            assert found == (checksum_of(CONTENT), linear_checksum_of(CONTENT))
            return checksum_of_ranges(writing.done)

    for limit in limits:
        with (
            carrying(source.open(), target.open(), room_bytes=limit) as attempt,
            ThreadPoolExecutor(12) as pool,
        ):
            digests = list(pool.map(lambda at, to=attempt: one(to, at), range(12)))
            assert set(digests) == {checksum_of(CONTENT)}
    assert open_descriptors() == before


def test_a_stream_that_is_not_read_to_its_end_gives_its_room_back(attempt):
    with attempt.source.open(b"large", SIZE) as reading:
        whole = ContentChecksum(SIZE)
        assert b"".join(hashed(attempt, reading, whole)) == CONTENT
        assert whole.digest() == checksum_of(CONTENT)
        broken = hashed(attempt, reading, ContentChecksum(SIZE))
        next(broken)
        next(broken)
        broken.close()


KNOWN = [
    Checksum("crc64nvme", digest("crc64nvme", CONTENT)),
    Checksum("md5", digest("md5", CONTENT)),
    Checksum(
        "md5", digest("md5", sums_of_parts("md5", CONTENT, PART)), -(-SIZE // PART)
    ),
]


@pytest.fixture(params=KNOWN, ids=["crc of the whole", "md5 of it", "md5 of parts"])
def told(request, monkeypatch):
    """Have the source tell a sum of its file, as a server tells it of an object."""
    sums = cached_property(lambda _: range_sums(request.param, SIZE, PART, None))
    sums.__set_name__(FileReading, "sums")
    monkeypatch.setattr(FileReading, "sums", sums)
    return request.param


def spoil(shelves):
    with open(shelves[0].root / "large", "r+b") as file:
        file.seek(7 * PART + 5)
        file.write(b"!!")


def test_a_source_that_tells_its_sum_is_held_to_it_before_there_is_a_name(
    attempt, shelves, told
):
    for right in (True, False):
        with attempt.source.open(b"large", SIZE) as reading:
            writing = begin(attempt, reading.seen)
            move(attempt, reading, writing, Extent(0, SIZE))
            if right:
                check_whole(reading, writing)
                writing.leave()
                spoil(shelves)
                continue
            with pytest.raises(MismatchError, match=told.algorithm):
                check_whole(reading, writing)
    assert os.listdir(shelves[1].root) == []


def test_a_stream_ends_with_an_error_where_its_sum_is_another(attempt, shelves, told):
    with attempt.source.open(b"large", SIZE) as reading:
        assert b"".join(hashed(attempt, reading, ContentChecksum(SIZE))) == CONTENT
    spoil(shelves)
    with (
        attempt.source.open(b"large", SIZE) as reading,
        pytest.raises(MismatchError, match=told.algorithm),
    ):
        for _ in hashed(attempt, reading, ContentChecksum(SIZE)):
            pass


def test_small_content_is_hashed_without_more_room(attempt, shelves):
    put(shelves[0].root, b"small", b"content")
    with attempt.opened(attempt.source, b"small", 7, None) as reading:
        taken = 3 * PART - 7
        assert attempt.room.try_take(taken)
        assert content_of(attempt, reading).checksum == checksum_of(b"content")
        attempt.room.give_back(taken)


def test_room_is_never_more_than_its_limit():
    room = Room(100)
    assert room.try_take(60)
    assert not room.try_take(60)
    assert room.try_take(40)
    room.give_back(60)
    room.give_back(40)
    assert room.try_take(1000)  # what asks for more than all gets all
    assert not room.try_take(1)
    came = threading.Event()

    def wait():
        room.take(500)
        came.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not came.is_set()
    room.give_back(1000)
    waiting.join()
    assert came.is_set()
    room.give_back(500)
    with pytest.raises(ZeroDivisionError), room.held(100):
        raise ZeroDivisionError
    assert room.try_take(100)
