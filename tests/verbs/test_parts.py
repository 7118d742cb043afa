import os
import stat
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from haulage.errors import CancelledError, MismatchError, UnstableError, VanishedError
from haulage.model import Status, Verb, Verified
from haulage.verbs.copy import copy
from haulage.verbs.parts import discard, part
from haulage.verbs.parts import publish as publish_parts
from haulage.verbs.verify import verify
from tests.engine_builders import OLD_NS, action_on, checksum_of, put, read, working
from tests.stores import RANGE
from tests.trees.compare import leftovers

CONTENT = os.urandom(45 * RANGE + 1)
BORDERS = [0, 15 * RANGE, 31 * RANGE, len(CONTENT)]


@pytest.fixture
def large(ends, small_ranges):
    """Give ends of which the source has one file to split."""
    put(ends.source, b"d/big", CONTENT, mode=0o4750, mtime_ns=OLD_NS)
    return ends


def publish(attempt, parts):
    return publish_parts(attempt, parts[-1], len(parts) - 1, parts)


def parts_of(ends) -> list:
    ranges = pairwise(BORDERS)
    return [
        action_on(ends.source, b"d/big", Verb.PART, offset=start, length=end - start)
        for start, end in ranges
    ]


def arrived(ends, works) -> list:
    """Copy each part, in no order, by one of `works`; return what publishes them."""
    done = []
    for number in (2, 0, 1):
        action = parts_of(ends)[number]
        outcome = part(works[number % len(works)], action, number)
        assert outcome.status == Status.PART
        assert outcome.moved == action.length
        done.append(action._replace(verb=Verb.PUBLISH))
    return sorted(done, key=lambda action: action.offset)


@pytest.mark.parametrize("hashing", [True, False])
def test_parts_by_two_movers_make_one_file(large, hashing):
    options = {"temp": b".haulage-bbbbbbbbbbbb-", "hashing": hashing}
    large.attempt.kernel.hashing = hashing
    with working(large.source, large.target, **options) as other:
        ready = arrived(large, [large.attempt, other])
    assert not (large.target / "d" / "big").exists()
    outcome = publish(large.attempt, ready)
    assert read(large.target, b"d/big") == CONTENT
    found = os.stat(large.target / "d" / "big")
    assert stat.S_IMODE(found.st_mode) == 0o4750
    assert found.st_mtime_ns == OLD_NS
    assert outcome.status == Status.COPIED
    proof = (checksum_of(CONTENT), Verified.CHECKSUM) if hashing else (None, 0)
    assert (outcome.checksum, outcome.verified) == proof


def temporary(ends) -> bytes:
    name = ends.attempt.target.split_name(b"d/big")
    return os.path.join(os.fsencode(ends.target), b"d", name)


def flip(path: bytes, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_a_byte_that_rots_before_its_part_is_read_back_has_that_part_done_again(
    large, monkeypatch
):
    parts = parts_of(large)
    part(large.attempt, parts[0], 0)
    with monkeypatch.context() as patch:  # the disk gets something else
        patch.setattr(os, "fdatasync", lambda _: flip(temporary(large), 16 * RANGE + 5))
        with pytest.raises(
            MismatchError, match=f"bytes {16 * RANGE} to {17 * RANGE} of what was"
        ):
            part(large.attempt, parts[1], 1)
    part(large.attempt, parts[2], 2)
    again = [part(large.attempt, one, 9).moved for one in parts]
    assert again == [0, parts[1].length, 0]
    assert publish(large.attempt, parts).checksum == checksum_of(CONTENT)
    assert read(large.target, b"d/big") == CONTENT


def test_a_temporary_that_somebody_cuts_before_it_is_read_back_is_found(
    large, monkeypatch
):
    first, second, _ = parts_of(large)
    part(large.attempt, first, 0)
    with monkeypatch.context() as patch:
        cut = partial(os.truncate, temporary(large), 20 * RANGE)
        patch.setattr(os, "fdatasync", lambda _: cut())
        with pytest.raises(MismatchError, match=f"bytes {20 * RANGE} to"):
            part(large.attempt, second, 1)
    discard(large.attempt, first, 0)


def test_what_read_back_differently_is_not_there_for_whoever_publishes(
    large, monkeypatch
):
    parts = parts_of(large)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda _: flip(temporary(large), 7))
        with pytest.raises(MismatchError):
            part(large.attempt, parts[0], 0)
    for row, one in enumerate(parts[1:]):
        part(large.attempt, one, row)
    with pytest.raises(UnstableError, match="not all of its parts arrived"):
        publish(large.attempt, parts)
    assert os.listdir(large.target / "d") == []


def bytes_read() -> int:
    """Return how many bytes this process has read, from files of all kinds."""
    line = Path("/proc/self/io").read_text().splitlines()[0]
    assert line.startswith("rchar:")
    return int(line.split()[1])


@pytest.mark.parametrize("again", [False, True])
def test_publishing_reads_no_content(large, again):
    ready = arrived(large, [large.attempt])
    if again:  # as after a power cut, or a kill right after the renaming
        publish(large.attempt, ready)
    before = bytes_read()
    outcome = publish(large.attempt, ready)
    assert bytes_read() - before < RANGE
    proof = (outcome.checksum, outcome.verified)
    assert proof == (checksum_of(CONTENT), Verified.CHECKSUM)


def test_a_file_has_the_checksum_that_it_has_when_one_mover_copies_it(large):
    made = publish(large.attempt, arrived(large, [large.attempt]))
    whole = copy(large.attempt, action_on(large.source, b"d/big"), 7)
    assert made.checksum == whole.checksum == checksum_of(CONTENT)


def test_one_bit_in_the_middle_of_a_file_that_was_split_is_found(large):
    made = publish(large.attempt, arrived(large, [large.attempt]))
    known = {"checksum": made.checksum, "made": made.made}
    action = action_on(large.source, b"d/big", Verb.VERIFY, **known)
    assert verify(large.attempt, action, 8).checksum == made.checksum
    flip(os.path.join(os.fsencode(large.target), b"d/big"), 20 * RANGE)
    os.utime(large.target / "d" / "big", ns=(OLD_NS, OLD_NS))
    with pytest.raises(MismatchError, match="content"):
        verify(large.attempt, action, 8)


def test_parts_in_a_temporary_that_was_lost_do_not_count(large):
    first, *others = parts_of(large)
    part(large.attempt, first, 0)
    os.unlink(temporary(large))  # its inode may be used for the next one at once
    for row, one in enumerate(others):
        part(large.attempt, one, row)
    with pytest.raises(UnstableError, match="not all of its parts arrived"):
        publish(large.attempt, [first, *others])
    assert os.listdir(large.target / "d") == []


def test_a_publication_that_is_stopped_leaves_all_parts_to_the_next_one(large):
    ready = arrived(large, [large.attempt])
    large.attempt.cancelled = lambda: True
    with pytest.raises(CancelledError):
        publish(large.attempt, ready)
    assert len(leftovers(large.target)) == 1
    large.attempt.cancelled = lambda: False
    assert publish(large.attempt, ready).status is Status.COPIED
    assert read(large.target, b"d/big") == CONTENT


def test_a_source_that_changed_between_its_parts_is_unstable(large):
    first, second, third = parts_of(large)
    part(large.attempt, first, 0)
    with open(large.source / "d" / "big", "r+b") as file:
        file.write(b"edited")
    os.utime(large.source / "d" / "big", ns=(OLD_NS, OLD_NS))
    entry = part(large.attempt, second, 1).entry
    assert entry, "the part tells that its source is another than was listed"
    part(large.attempt, third, 2)
    with pytest.raises(UnstableError, match="changed while its parts were copied"):
        publish(large.attempt, [first, second._replace(ctime_ns=entry.ctime_ns), third])
    assert os.listdir(large.target / "d") == []


def test_a_source_that_changed_size_is_unstable_before_a_byte_is_copied(large):
    first = parts_of(large)[0]
    os.truncate(large.source / "d" / "big", 5)
    with pytest.raises(UnstableError):
        part(large.attempt, first, 0)
    assert os.listdir(large.target) == []


def test_a_source_that_is_gone_has_vanished_or_is_unstable(large):
    ready = arrived(large, [large.attempt])
    os.unlink(large.source / "d" / "big")
    with pytest.raises(VanishedError):
        part(large.attempt, ready[0], 0)
    with pytest.raises(UnstableError):
        publish(large.attempt, ready)
    assert os.listdir(large.target / "d") == []


def test_a_part_that_is_cancelled_leaves_the_parts_of_others(large):
    first, second, _ = parts_of(large)
    part(large.attempt, first, 0)
    large.attempt.cancelled = lambda: True
    with pytest.raises(CancelledError):
        part(large.attempt, second, 1)
    (temp,) = leftovers(large.target)
    assert read(large.target, temp)[: first.length] == CONTENT[: first.length]
    assert discard(large.attempt, first, 0).status == Status.ABSENT


def test_a_longer_leftover_of_the_temporary_is_cut(large):
    (large.target / "d").mkdir()
    put(
        large.target / "d",
        large.attempt.target.split_name(b"d/big"),
        bytes(5_000_000),
    )
    publish(large.attempt, arrived(large, [large.attempt]))
    assert read(large.target, b"d/big") == CONTENT


def test_a_publication_that_is_done_again_ends_in_the_same_outcome(large):
    ready = arrived(large, [large.attempt])
    first = publish(large.attempt, ready)
    assert publish(large.attempt, ready) == first
    assert read(large.target, b"d/big") == CONTENT


def test_an_old_file_is_not_taken_for_one_whose_parts_were_lost(large):
    put(large.target, b"d/big", b"o" * len(CONTENT), mtime_ns=OLD_NS)
    large.attempt.kernel.hashing = False
    ready = arrived(large, [large.attempt])
    (lost,) = leftovers(large.target)
    os.unlink(os.path.join(os.fsencode(large.target), lost))
    with pytest.raises(UnstableError, match="parts are gone"):
        publish(large.attempt, ready)


def test_parts_that_are_copied_twice_are_the_same(large):
    parts = arrived(large, [large.attempt])
    for row, one in enumerate(parts):
        part(large.attempt, one, row)
    publish(large.attempt, parts)
    assert read(large.target, b"d/big") == CONTENT


def test_files_of_one_name_in_one_directory_are_told_apart_by_their_paths(large):
    assert large.attempt.target.split_name(b"d/big") != large.attempt.target.split_name(
        b"e/big"
    )
    assert len(large.attempt.target.split_name(b"d/" * 3000)) <= 255


def test_discarding_removes_the_temporary_and_is_done_when_there_is_none(large):
    arrived(large, [large.attempt])
    action = parts_of(large)[0]
    discard(large.attempt, action, 0)
    discard(large.attempt, action, 0)
    assert os.listdir(large.target / "d") == []
    os.rmdir(large.target / "d")
    large.attempt.target.descent.forget()
    assert discard(large.attempt, action, 0).status == Status.ABSENT
