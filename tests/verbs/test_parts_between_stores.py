import os
import threading

import pytest

from haulage.errors import MismatchError, UnstableError
from haulage.model import Kind, Outcome, Status, Verified
from haulage.storage.resumable import begun
from haulage.verbs.parts import discard, part, publish
from haulage.verbs.stream import check_whole
from tests.engine_builders import checksum_of
from tests.stores import PART, carrying

CONTENT = os.urandom(1 << 16) * (2 * PART >> 16) + b"the end"
ENDS = [(0, PART), (PART, PART), (2 * PART, 7)]


@pytest.fixture
def large(way):
    way.put(b"d/large", CONTENT, mode=0o640)
    yield way
    discard(way.attempt, way.listed(b"d/large"), 9)


def parts(way):
    return [
        way.listed(b"d/large", offset=offset, length=length) for offset, length in ENDS
    ]


def published(way, every):
    return publish(way.attempt, every[-1], 9, every)


def test_the_parts_of_several_movers_become_one_entry(large):
    every = parts(large)
    outcomes: dict[int, Outcome] = {}

    def move(number):
        source = large.source.open(token=f"{number:012x}")
        target = large.target.open(token=f"{number:012x}")
        with carrying(source, target) as attempt:
            outcomes[number] = part(attempt, every[number], number)

    threads = [threading.Thread(target=move, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (_, length) in enumerate(ENDS):
        outcome = outcomes[number]
        assert (outcome.status, outcome.moved) == (Status.PART, length)
    assert large.attempt.target.look(b"d/large") is None
    done = published(large, every)
    assert (done.status, done.verified) == (Status.COPIED, Verified.CHECKSUM)
    assert done.checksum == checksum_of(CONTENT)
    assert done.made == large.arrived(b"d/large").etag
    assert large.arrived(b"d/large").mode == 0o640
    assert large.content(b"d/large") == CONTENT


def test_what_is_published_without_hashing_has_no_checksum_but_every_part(large):
    every = parts(large)
    large.attempt.hashing = False
    for row, action in enumerate(every[:2]):
        part(large.attempt, action, row)
    with pytest.raises(UnstableError, match="not all"):
        published(large, every)
    assert large.attempt.target.look(b"d/large") is None
    for row, action in enumerate(every):
        part(large.attempt, action, row)
    done = published(large, every)
    assert (done.status, done.checksum) == (Status.COPIED, None)
    assert large.content(b"d/large") == CONTENT


def test_a_part_that_was_made_is_not_made_again(large):
    first, *_ = parts(large)
    part(large.attempt, first, 0)
    moved = large.attempt.moved
    again = part(large.attempt, first, 0)
    assert again.status == Status.PART
    assert large.attempt.moved == moved


def test_what_arrives_in_a_directory_is_read_back_before_its_part_is_done(
    large, monkeypatch
):
    if large.target.root is None:
        pytest.skip("no part of an object can be read before all are there")
    every = parts(large)

    def rot(_fd):
        (temporary,) = (large.target.root / "d").iterdir()
        with temporary.open("r+b") as file:
            file.seek(PART + 9)
            file.write(b"!!!")

    with monkeypatch.context() as patch:  # the disk gets something else
        patch.setattr(os, "fdatasync", rot)
        with pytest.raises(MismatchError, match=f"bytes {PART} to {2 * PART}"):
            part(large.attempt, every[1], 1)
    for row, action in enumerate(every):
        part(large.attempt, action, row)
    before = large.attempt.moved
    done = published(large, every)
    assert (done.checksum, large.attempt.moved) == (checksum_of(CONTENT), before)
    assert large.content(b"d/large") == CONTENT


def test_a_source_that_changed_is_unstable_in_every_part_and_at_the_end(large):
    every = parts(large)
    for row, action in enumerate(every[:1]):
        part(large.attempt, action, row)
    large.put(b"d/large", CONTENT[::-1], mtime_s=1_600_000_000)
    with pytest.raises(UnstableError, match="changed"):
        part(large.attempt, every[1], 1)
    with pytest.raises(UnstableError, match="changed"):
        published(large, every)
    assert large.attempt.target.look(b"d/large") is None


def test_a_source_that_changes_while_its_parts_are_proven_is_not_published(
    large, monkeypatch
):
    every = parts(large)
    for row, action in enumerate(every):
        part(large.attempt, action, row)

    def edit(*args):
        check_whole(*args)
        large.put(b"d/large", CONTENT[::-1], mtime_s=1_600_000_000)

    monkeypatch.setattr("haulage.verbs.parts.check_whole", edit)
    with pytest.raises(UnstableError, match="changed while its parts"):
        published(large, every)
    assert large.attempt.target.look(b"d/large") is None


def test_what_is_published_twice_is_unstable_and_stays_as_it_is(large):
    every = parts(large)
    for row, action in enumerate(every):
        part(large.attempt, action, row)
    large.attempt.hashing = False
    published(large, every)
    with pytest.raises(UnstableError, match="not all"):
        published(large, every)
    assert large.content(b"d/large") == CONTENT


def test_what_will_not_be_published_leaves_nothing(large):
    first, *_ = parts(large)
    part(large.attempt, first, 0)
    ranges = large.attempt.target._ranges
    assert [path for path, _, _ in begun(ranges)] == [b"d/large"]
    sweeping = first._replace(kind=Kind.FILE, size=0, etag=None)
    outcome = discard(large.attempt, sweeping, 0)
    assert outcome.status is Status.ABSENT
    assert list(begun(ranges)) == []
    if large.target.bucket:
        assert list(large.target.bucket.uploads("")) == []
