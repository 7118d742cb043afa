"""Makes the target's entry what the source's is, where one of both is in a bucket."""

from collections.abc import Callable
from contextlib import closing

import xxhash

from haulage.errors import UnstableError, VanishedError
from haulage.model import Action, Kind, Outcome, Status, Verified
from haulage.storage.store import Extent, Made, Now, Reading, Seen
from haulage.storage.tree.metadata.xattrs import joined
from haulage.verbs.attempt import Attempt, is_large, whole_bytes
from haulage.verbs.stream import check_whole, digest_of, hashed, move
from haulage.verbs.versions import NOT_MADE, as_recorded, is_as_listed, is_racy_entry

_TRIES = 3  # to open an entry that grows


def copy(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Copy one entry: inside the server, as a whole, or in ranges."""
    within = attempt.target.copy_within(attempt.source, action)
    if within is not None:
        seen, made = within
        attempt.note_moved(seen.entry.size)
        return _copied(action, seen, made, None, moved=seen.entry.size)
    now = attempt.source.now()
    size, etag = action.size, action.etag
    for _ in range(_TRIES):
        with attempt.opened(attempt.source, action.path, size, etag) as reading:
            entry = reading.seen.entry
            if _has_room_for(size, entry.size):
                made, checksum = _send(attempt, action.path, row, reading)
                outcome = _copied(
                    action, reading.seen, made, checksum, moved=entry.size
                )
                return outcome._replace(racy=is_racy_entry(entry, now))
        size, etag = entry.size, entry.etag
    raise UnstableError("grew whenever it was opened")


def _has_room_for(expected: int, found: int) -> bool:
    """Tell whether the room held for one size serves for the other.

    Ranges wait for room, which nobody may do who holds some.
    """
    held = whole_bytes(expected)
    return not held if is_large(found) else found <= held


def _send(
    attempt: Attempt, path: bytes, row: int, reading: Reading
) -> tuple[Made, bytes | None]:
    seen = reading.seen
    size = seen.entry.size
    if seen.entry.kind == Kind.SYMLINK:
        return attempt.target.link(path, row, seen.entry), None
    if is_large(size):
        if not attempt.target.takes_ranges:
            return _pour(attempt, path, reading)
        return _send_ranges(attempt, path, row, reading)
    content = reading.read(Extent(0, size))
    reading.confirm()
    checksum = xxhash.xxh3_128_digest(content)
    made = attempt.target.write(path, row, content, seen)
    attempt.note_moved(size)
    return made, checksum


def _send_ranges(
    attempt: Attempt, path: bytes, row: int, reading: Reading
) -> tuple[Made, bytes | None]:
    """Move a large entry, whose finished ranges outlive this attempt."""
    writing = attempt.target.begin(path, row, reading.seen, shared=False)
    try:
        whole = Extent(0, reading.seen.entry.size)
        checksum = move(attempt, reading, writing, whole)
        reading.confirm()
    except (UnstableError, VanishedError):
        writing.abandon()
        raise
    except BaseException:
        writing.leave()
        raise
    check_whole(reading, writing)
    return writing.finish(reading.seen, prove=False), checksum


def _pour(attempt: Attempt, path: bytes, reading: Reading) -> tuple[Made, bytes | None]:
    """Move a large entry to a bucket that takes it only from its begin to its end."""
    digest = xxhash.xxh3_128()
    with closing(hashed(attempt, reading, digest)) as chunks:
        made = attempt.target.pour(path, chunks, reading.seen)
    return made, digest.digest()


def _copied(
    action: Action, seen: Seen, made: Made, checksum: bytes | None, moved: int
) -> Outcome:
    return Outcome(
        Status.MADE if seen.entry.kind == Kind.SYMLINK else Status.COPIED,
        checksum=checksum,
        verified=Verified.METADATA if made.proven else Verified.NONE,
        moved=moved,
        lost=joined(made.lost, seen.unkept),
        entry=as_recorded(action, seen.entry),
        made=made.etag,
    )


def check(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Copy an entry only if its content is not what the target has."""
    now = attempt.source.now()
    source = attempt.source
    with attempt.opened(source, action.path, action.size, action.etag) as reading:
        seen = reading.seen
        checksum = None
        if (seen.entry.size, seen.entry.kind) == (action.size, Kind.FILE):
            checksum = digest_of(attempt, reading)
            reading.confirm()
    if checksum is None:
        return copy(attempt, action, row)
    proven = _proof_of_equal(attempt, action, checksum)
    read = action.size if action.checksum else 2 * action.size
    if proven is None:
        return copy(attempt, action, row)._replace(read=read)
    made = attempt.target.set_attributes(action, seen)
    if made is None:
        action = action._replace(checksum=checksum)
        apart = _apart(attempt, action, row, (seen, now)) or copy(attempt, action, row)
        return apart._replace(read=read)
    outcome = _updated(action, seen, made)
    racy = is_racy_entry(seen.entry, now)
    return outcome._replace(checksum=checksum, verified=proven, racy=racy, read=read)


def _proof_of_equal(
    attempt: Attempt, action: Action, checksum: bytes
) -> Verified | None:
    """Return how far the target is proven to have `checksum`, or None if it has not."""
    if action.checksum is not None:
        return Verified(action.verified) if action.checksum == checksum else None
    target = attempt.target
    try:
        with attempt.opened(target, action.path, action.size, action.made) as reading:
            if reading.seen.entry.size != action.size:
                return None
            same = digest_of(attempt, reading) == checksum
    except (VanishedError, UnstableError):
        return None
    return Verified.CHECKSUM if same else None


def meta(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Set attributes alone; copy if the target's entry is not the one that we made."""
    now = attempt.source.now()
    seen = attempt.source.look(action.path)
    if seen is None:
        raise VanishedError("is gone since it was listed")
    if not is_as_listed(action, seen.entry):
        return copy(attempt, action, row)
    made = attempt.target.set_attributes(action, seen)
    if made is None:
        return _apart(attempt, action, row, (seen, now)) or copy(attempt, action, row)
    outcome = _updated(action, seen, made)
    in_doubt = action.racy and attempt.source.has_directories
    return outcome._replace(
        checksum=action.checksum,
        verified=Verified(action.verified),
        racy=in_doubt or is_racy_entry(seen.entry, now),
    )


def _apart(
    attempt: Attempt, action: Action, row: int, looked: tuple[Seen, Now]
) -> Outcome | None:
    """Make one of a file's names a file of its own, of what the target has.

    None if that is not what we made.
    """
    target, (seen, now) = attempt.target, looked
    if action.checksum is None or not target.has_directories:
        return None
    try:
        with attempt.opened(target, action.path, action.size, None) as reading:
            found = reading.seen.entry
            if found.nlink == 1 or found.size != seen.entry.size:
                return None
            if digest_of(attempt, reading) != action.checksum:
                return None
            reading.seen = seen
            made, checksum = _send(attempt, action.path, row, reading)
    except (VanishedError, UnstableError):
        return None
    outcome = _copied(action, seen, made, checksum, moved=0)
    return outcome._replace(racy=is_racy_entry(seen.entry, now))


def _updated(action: Action, seen: Seen, made: Made) -> Outcome:
    return Outcome(
        Status.UPDATED if made.changed else Status.UNCHANGED,
        lost=joined(made.lost, seen.unkept),
        entry=as_recorded(action, seen.entry),
        made=made.etag,
    )


def link(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make or replace a symbolic link, as the source has it now."""
    seen = _look_again(attempt, action.path)
    if seen.entry.kind != Kind.SYMLINK:
        raise UnstableError("is no longer a symbolic link")
    made = attempt.target.link(action.path, row, seen.entry)
    entry = None if is_as_listed(action, seen.entry) else seen.entry
    return Outcome(Status.MADE, lost=made.lost, made=made.etag, entry=entry)


def _look_again(attempt: Attempt, path: bytes) -> Seen:
    """Return what the source has now; VanishedError if that is nothing."""
    seen = attempt.source.look(path)
    if seen is None:
        raise VanishedError("is gone since it was listed")
    return seen


def replace(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make a file or a link where a directory was, or a directory where one of these.

    Something is left in a directory: BlockedError.
    """
    if action.kind != Kind.DIR:
        if _look_again(attempt, action.path).entry.kind == Kind.DIR:
            raise UnstableError("is a directory again")
    elif attempt.source.has_directories:
        _check_dir(attempt, action)
    attempt.target.vacate(action.path)
    do: dict[int, Callable[..., Outcome]] = {Kind.SYMLINK: link, Kind.DIR: mkdir}
    return do.get(action.kind, copy)(attempt, action, row)


def mkdir(attempt: Attempt, action: Action, row: int) -> Outcome:
    """Make sure that a directory is there.

    In a tree its attributes come with the dirs pass, when nothing below it changes any
    more; what stands for it in a bucket has them from the start.
    """
    was_there = action.was_mtime_s or action.was_mtime_ns
    status = Status.UPDATED if was_there else Status.MADE
    if attempt.target.has_directories:
        _check_dir(attempt, action)
        return Outcome(status, lost=attempt.target.make_dir(action.path, row))
    outcome = finish_dir(attempt, action, row)
    return (
        outcome if outcome.status is Status.ABSENT else outcome._replace(status=status)
    )


def _check_dir(attempt: Attempt, action: Action) -> None:
    """Raise unless the source has a directory there still.

    In a bucket any key below implies one, so it is only asked whether a file is there,
    and only where one would be replaced.
    """
    if not action.path:
        return
    if attempt.source.has_directories:
        _look_again(attempt, action.path)
        return
    name = action.path[:-1]
    there = attempt.target.look(name)
    in_the_way = there is not None and there.entry.kind != Kind.DIR
    if in_the_way and attempt.source.look(name) is not None:
        raise UnstableError("is no longer a directory")


def finish_dir(attempt: Attempt, action: Action, _row: int) -> Outcome:
    """Give a directory what its source has; what only a prefix implies has nothing."""
    source = attempt.source
    is_known = action.etag is None and not source.has_directories
    seen = None if is_known else source.look(action.path)
    if seen is None:
        seen = source.implied(action.path)
    if seen.entry.kind != Kind.DIR:
        raise UnstableError("is no longer a directory")
    try:
        made = attempt.target.finish_dir(action.path, seen)
    except FileNotFoundError as err:
        raise UnstableError(NOT_MADE) from err
    if made is None:
        return Outcome(Status.ABSENT)
    return Outcome(
        Status.UPDATED,
        verified=Verified.METADATA,
        lost=joined(made.lost, seen.unkept),
        entry=as_recorded(action, seen.entry),
        made=made.etag,
    )
