"""Moves or hashes the ranges of a large entry: many at once, hashed in their order."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, wait
from contextlib import closing
from functools import partial
from typing import NamedTuple

import xxhash

from haulage.errors import MismatchError
from haulage.place import part_bytes
from haulage.storage.checksums import BothChecksums, Checksum, Content
from haulage.storage.resumable import Done
from haulage.storage.store import Extent, Reading, Sums, Writing
from haulage.verbs.attempt.attempt import Attempt, is_large

_AHEAD = 8  # ranges of one entry under way at once


class _Coming(NamedTuple):
    """A range that is being read."""

    extent: Extent
    content: "Future[bytes | memoryview]"


def move(attempt: Attempt, reading: Reading, writing: Writing, extent: Extent) -> None:
    """Move one extent, range by range, but for what an earlier attempt has made."""
    every = _pieces(reading, extent)
    wanted = [piece for piece in every if piece.offset not in writing.done]
    sums = reading.sums
    under_way: deque[Future[None]] = deque()
    try:
        with closing(_in_order(attempt, reading, wanted)) as arriving:
            for piece, content in arriving:
                sums.follow(piece, content)
                made = partial(_write, attempt, sums, writing, piece)
                under_way.append(attempt.ranges.submit(made, content))
                while len(under_way) > _AHEAD:
                    under_way.popleft().result()
    finally:
        wait(under_way)
    for write in under_way:
        write.result()


def _write(
    attempt: Attempt,
    sums: Sums,
    writing: Writing,
    piece: Extent,
    content: bytes | memoryview,
) -> None:
    try:
        digest = xxhash.xxh3_128_digest(content)
        done = Done(digest, summed=sums.of(piece, content))
        writing.write(piece.offset, content, done)
        attempt.note_moved(piece.length)
    finally:
        attempt.room.give_back(piece.length)


def check_whole(reading: Reading, writing: Writing) -> None:
    """Hold all ranges that were made against the source's own sum of the whole.

    MismatchError if it is another: which range is wrong nobody knows, so none is kept.
    """
    known = {offset: done.summed for offset, done in writing.done.items()}
    try:
        reading.sums.check(known)
    except MismatchError:
        writing.abandon()
        raise
    except BaseException:
        writing.leave()
        raise


def content_of(attempt: Attempt, reading: Reading) -> Content:
    """Return the checksums of the content of an entry that was opened."""
    size = reading.seen.entry.size
    whole = BothChecksums(size)
    if reading.feed(whole):
        return whole.content()
    if not is_large(size):
        whole.update(reading.read(Extent(0, size)))
        attempt.note_moved(size)
        return whole.content()
    pieces = _pieces(reading, Extent(0, size))
    with closing(_in_order(attempt, reading, pieces)) as arriving:
        for piece, content in arriving:
            whole.update(content)
            attempt.note_moved(piece.length)
            attempt.room.give_back(piece.length)
    return whole.content()


def hashed(
    attempt: Attempt, reading: Reading, whole: Checksum
) -> Generator[bytes | memoryview, None, None]:
    """Yield an entry's content from its begin to its end, adding it to `whole`."""
    pieces = _pieces(reading, Extent(0, reading.seen.entry.size))
    sums, known = reading.sums, {}
    with closing(_in_order(attempt, reading, pieces)) as arriving:
        for piece, content in arriving:
            try:
                whole.update(content)
                sums.follow(piece, content)
                known[piece.offset] = sums.of(piece, content)
                yield content
                attempt.note_moved(piece.length)
            finally:
                attempt.room.give_back(piece.length)
    reading.confirm()
    sums.check(known)


def _pieces(reading: Reading, extent: Extent) -> list[Extent]:
    step = part_bytes(reading.seen.entry.size)
    end = extent.offset + extent.length
    return [
        Extent(start, min(step, end - start))
        for start in range(extent.offset, end, step)
    ]


def _in_order(
    attempt: Attempt, reading: Reading, pieces: list[Extent]
) -> Generator[tuple[Extent, bytes | memoryview], None, None]:
    """Yield each range with its content, whose room the consumer gives back.

    Whoever waits for room holds none; otherwise the oldest range is taken up first.
    """
    waiting = deque(pieces)
    coming: deque[_Coming] = deque()
    try:
        while waiting or coming:
            attempt.check_cancelled()
            while (
                waiting
                and len(coming) < _AHEAD
                and _has_room(attempt, waiting[0].length, must=not coming)
            ):
                piece = waiting.popleft()
                content = attempt.ranges.submit(reading.read, piece)
                coming.append(_Coming(piece, content))
            arrived = coming[0].content.result()
            yield coming.popleft().extent, arrived
    finally:
        wait(left.content for left in coming)
        for left in coming:
            attempt.room.give_back(left.extent.length)


def _has_room(attempt: Attempt, count: int, *, must: bool) -> bool:
    if must:
        attempt.room.take(count)
        return True
    return attempt.room.try_take(count)
