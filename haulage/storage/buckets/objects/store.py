"""A bucket's prefix as a store: entries are objects, attributes their metadata."""

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from haulage.errors import (
    BlockedError,
    PermanentError,
    UnstableError,
    VanishedError,
)
from haulage.model import Action, Entry, Kind, Loss, Lost, Outcome, Status
from haulage.paths import other_form
from haulage.place import Place, part_bytes
from haulage.storage.buckets.keys.has_entries import holds_entries
from haulage.storage.buckets.keys.paths import key_of, why_no_key
from haulage.storage.buckets.objects.altered_keys import Spellings
from haulage.storage.buckets.objects.handles import ObjectReading, UploadWriting
from haulage.storage.buckets.objects.stamp import read_stamp, stamp_of
from haulage.storage.buckets.protocol import (
    Answer,
    AsStream,
    Bucket,
    ByParts,
    Found,
    PutBy,
    holds_more_than,
)
from haulage.storage.differences import differences
from haulage.storage.resumable import Ranges, begun, drop
from haulage.storage.store import (
    Carried,
    Chunks,
    Made,
    Now,
    Reading,
    Seen,
    Store,
    Within,
    Writing,
    is_implied,
)

_GIGA = 1_000_000_000
_LONGEST_LINK = 4095  # bytes of the target of a symbolic link
_SHARED = 2  # names of a file that has others; how many, its object does not say
_OF_A_DIRECTORY = "application/x-directory"
_OF_A_LINK = "inode/symlink"
_UNKNOWN = "application/octet-stream"
_NO_MARKER = Lost(
    Loss.MARKER,
    "the server stores no object for a directory: its attributes are not kept",
)


class Objects(Store):
    """The objects below a place's prefix; `ranges` records large transfers."""

    def __init__(
        self,
        bucket: Bucket,
        place: Place,
        ranges: Path,
        spellings: Spellings | None = None,
    ) -> None:
        """Set the prefix; `spellings` is what was learned about the server before."""
        self.bucket = bucket
        self._place = place
        self._ranges = ranges
        self._spellings = spellings or Spellings(bucket, place.prefix)

    def _key(self, path: bytes) -> str:
        if reason := why_no_key(path, self._place.prefix):
            raise PermanentError(reason)
        return key_of(path, self._place.prefix)

    def _new_key(self, path: bytes) -> str:
        """Return the key of a new object; PermanentError if it would become another."""
        key = self._key(path)
        self._spellings.check(key)
        if self._is_of_another(key):
            raise PermanentError(
                "the target's server treats it as another name that it has, which "
                "differs only in case or normal form; rename one"
            )
        return key

    def _is_of_another(self, key: str) -> bool:
        """Tell whether the object found by a key has another key."""
        place = self._place
        if not (place.folds_case or (place.folds_forms and not key.isascii())):
            return False
        return self.bucket.head(key) is not None and not self._is_listed(key)

    def _is_listed(self, key: str) -> bool:
        return list(self.bucket.page(key, limit=1).keys[:1]) == [key]

    def look(
        self, path: bytes, *, anew: bool = True, described: bool = False
    ) -> Seen | None:
        """See Store; a directory is there only if an object stands for it."""
        if not path and not self._place.prefix:
            return None
        key = self._key(path)
        found = self.bucket.head(key)
        if found is None:
            return None
        seen = seen_of(path, found)
        if seen.entry.kind == Kind.SYMLINK:
            found, content = self.bucket.get(key)
            seen = seen_of(path, found, bytes(content))
        return seen

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        key = self._key(path)
        if size <= part_bytes(size):
            try:
                found, content = self.bucket.get(key, etag=etag)
                return ObjectReading(
                    self.bucket, found, seen_of(path, found, content), content
                )
            except UnstableError:  # another version, which may be of any size
                pass
        found = self.present(key)
        target = None
        if found.size <= _LONGEST_LINK:
            target = self.bucket.get(key, etag=found.etag)[1]
        return ObjectReading(self.bucket, found, seen_of(path, found, target), target)

    def present(self, key: str) -> Found:
        """Return an object's headers; VanishedError if it does not exist."""
        found = self.bucket.head(key)
        if found is None:
            raise VanishedError("is gone since it was listed")
        return found

    def lists(self, path: bytes) -> bool:
        return self._is_listed(self._key(path))

    def now(self, path: bytes) -> Now:
        """See Store; versions are told by etags, whatever the time."""
        return Now(0, 0)

    def is_empty(self) -> bool:
        return not holds_entries(self.bucket, self._place.prefix)

    def copy_within(self, source: Store, action: Action, row: int) -> Within | None:
        if not isinstance(source, Objects):
            return None
        if not self.bucket.can_copy_from(source.bucket):
            return None
        found = source.as_listed(action)
        try:
            answer = self._copy(source, action.path, found)
        except UnstableError:
            found = source.present(found.key)
            answer = self._copy(source, action.path, found)
        return Within(seen_of(action.path, found), _made(answer), found.size)

    def _copy(self, source: "Objects", path: bytes, found: Found) -> Answer:
        """Copy one version with its metadata and tags; tags of the place are added."""
        by = None
        if self._place.tags:
            now = source.present(found.key)
            tags = source.bucket.tags(found.key)
            by = PutBy(now.metadata, replace(now.carried, tags=tags))
        return self.bucket.copy_from(source.bucket, found, self._new_key(path), by)

    def as_listed(self, action: Action) -> Found:
        """Return the version of an object that was listed.

        A copy in parts loses whatever the server is not told of it.
        """
        key = self._key(action.path)
        if action.etag is None or action.size > part_bytes(0):
            return self.present(key)
        return Found(key, action.size, action.etag, action.ctime_since_epoch_ns, {})

    def write(
        self, path: bytes, row: int, content: bytes | memoryview, seen: Seen
    ) -> Made:
        key = self._new_key(path)
        with _has_a_source():
            return _made(self.bucket.put(key, content, put_by(seen)))

    def begin(
        self, path: bytes, row: int, seen: Seen, *, shared: bool, prove: bool = False
    ) -> Writing:
        ranges = Ranges(self._ranges, path, seen.entry)
        assert isinstance(self.bucket, ByParts)
        key, size = self._new_key(path), seen.entry.size
        with _has_a_source():
            return UploadWriting(
                self.bucket, key, put_by(seen), ranges, size, prove=prove
            )

    @property
    def takes_ranges(self) -> bool:
        return isinstance(self.bucket, ByParts)

    def pour(self, path: bytes, chunks: Chunks, seen: Seen) -> Made:
        assert isinstance(self.bucket, AsStream)
        key, size = self._new_key(path), seen.entry.size
        with _has_a_source():
            return _made(self.bucket.put_stream(key, chunks, size, put_by(seen)))

    def link(self, path: bytes, row: int, seen: Seen) -> Made:
        if seen.entry.target is None:
            raise VanishedError("could not be read when it was listed")
        return self.write(path, row, seen.entry.target, seen)

    def make_special(self, path: bytes, row: int, seen: Seen) -> Made:
        raise AssertionError("no bucket has special files")

    @property
    def has_directories(self) -> bool:
        return False

    def make_dir(self, path: bytes, row: int) -> Lost | None:
        """See Store; a directory's object is made when it is finished."""
        return None

    def finish_dir(self, path: bytes, seen: Seen) -> Made | None:
        """See Store; the root of a whole bucket has no object."""
        if is_implied(seen.entry):
            return None
        if not path and not self._place.prefix:
            return Made()
        if not self._place.markers:
            return Made(lost=_NO_MARKER)
        key = self._new_key(path)
        with _has_a_source():
            return _made(self.bucket.put(key, b"", put_by(seen)))

    def implied(self, path: bytes) -> Seen:
        nothing = Found("", 0, b"", 0, {})
        return Seen(seen_of(path, nothing).entry._replace(etag=None))

    def set_attributes(self, action: Action, seen: Seen) -> Made | None:
        key = self._key(action.path)
        found = self.bucket.head(key)
        if found is None or action.made is None:
            return None
        if (found.etag, found.size) != (action.made, seen.entry.size):
            return None
        by = put_by(seen)
        if _is_stamped(found, by):
            return Made(found.etag, changed=False)
        try:
            return _made(self.bucket.restamp(key, by, etag=found.etag))
        except (VanishedError, UnstableError):  # of the target's object
            return None

    def join(self, action: Action, row: int) -> Made:
        raise AssertionError("no two objects are one")

    def differences(self, action: Action, found: Entry) -> list[str]:
        """See Store; a copy of an object has the version that it was made with."""
        names = [] if action.kind == Kind.DIR else ["size"]
        if action.etag is None:
            names += ["kind", "target"]
            is_in_doubt = action.kind == Kind.DIR and action.racy
            has_times = not is_in_doubt and not is_implied(action.entry)
            names += ["mtime_s", "mtime_ns"] if has_times else []
        wrong = differences(found, action, names)
        if action.etag_at_target not in (None, found.etag):
            wrong.append("it is another version than the one that was made")
        return wrong

    def remove(self, action: Action) -> Outcome:
        key = self._key(action.path)
        found = self.bucket.head(key)
        if found is None or self._is_of_another(key):
            return Outcome(Status.ABSENT)
        if action.made is not None and found.etag != action.made:
            return Outcome(Status.KEPT, reason="its content changed since we made it")
        if action.made is None and found.size != action.size:
            return Outcome(Status.KEPT, reason="its size changed since we made it")
        if action.kind == Kind.DIR and holds_more_than(self.bucket, key):
            return Outcome(Status.KEPT, reason="has content that we did not make")
        try:
            self.bucket.remove(key, etag=found.etag)
        except UnstableError:
            return Outcome(Status.KEPT, reason="is being changed right now")
        return Outcome(Status.DELETED)

    def restore(self, action: Action) -> Outcome:
        raise AssertionError("no bucket has a trash")

    def vacate(self, path: bytes) -> None:
        """See Store; no tree could hold a file whose key is a prefix of others."""
        other = other_form(path)
        key = self._key(other)
        found = self.bucket.head(key)
        is_dir = other.endswith(b"/")
        if is_dir and ((found and found.size) or holds_more_than(self.bucket, key)):
            raise BlockedError("the target has a directory with content here")
        if found:
            self.bucket.remove(key, etag=found.etag)

    def discard(self, path: bytes) -> None:
        for _, upload_id, record in begun(self._ranges, path):
            assert isinstance(self.bucket, ByParts)
            self.bucket.abort_upload(self._key(path), upload_id)
            drop(record)

    def close(self) -> None:
        """See Store; the bucket's connections stay open for the next shard."""


@contextmanager
def _has_a_source() -> Iterator[None]:
    """Tell a server that has no place for a key from a missing source."""
    try:
        yield
    except VanishedError as err:
        raise PermanentError(str(err)) from err


def _is_stamped(found: Found, by: PutBy) -> bool:
    """Tell whether an object has all of `by`, except tags, which it does not show."""
    has, wanted = found.carried, by.carried
    return (dict(found.metadata), has.content_type, dict(has.headers)) == (
        dict(by.metadata),
        wanted.content_type,
        dict(wanted.headers),
    )


def _made(answer: Answer) -> Made:
    return Made(answer.etag, proven=answer.proven)


def seen_of(
    path: bytes, found: Found, content: bytes | memoryview | None = None
) -> Seen:
    """Return the entry that an object stands for; `content` is a link's target."""
    is_dir = not path or path.endswith(b"/")
    stamp = read_stamp(found.metadata, Kind.DIR if is_dir else Kind.FILE)
    changed = divmod(found.modified_ns, _GIGA)
    mtime_s, mtime_ns = stamp.mtime or changed
    is_link = stamp.kind is Kind.SYMLINK and found.size <= _LONGEST_LINK
    dev, ino = stamp.group or (0, 0)
    entry = Entry(
        path=path,
        kind=stamp.kind if is_link or is_dir else Kind.FILE,
        mode=stamp.mode,
        uid=stamp.uid,
        gid=stamp.gid,
        size=found.size,
        mtime_s=mtime_s,
        mtime_ns=mtime_ns,
        ctime_s=changed[0],
        ctime_ns=changed[1],
        dev=dev,
        ino=ino,
        nlink=_SHARED if stamp.group else 0,
        target=bytes(content) if is_link and content is not None else None,
        etag=found.etag,
    )
    carried = found.carried
    return Seen(
        entry,
        Carried(carried.content_type, carried.headers, found.metadata, carried.tags),
    )


def put_by(seen: Seen) -> PutBy:
    """Return what goes with an entry's content: an object's own, or a file's stamp."""
    entry, carried = seen.entry, seen.carried
    if entry.etag is not None:
        return PutBy(carried.metadata, carried)
    return PutBy(stamp_of(entry), Carried(_content_type_of(entry)))


def _content_type_of(entry: Entry) -> str:
    if entry.kind == Kind.DIR:
        return _OF_A_DIRECTORY
    if entry.kind == Kind.SYMLINK:
        return _OF_A_LINK
    name = entry.path.rpartition(b"/")[2]
    return _type_by_suffix(b".".join(name.split(b".")[1:][-2:]))


@lru_cache(maxsize=4096)
def _type_by_suffix(suffix: bytes) -> str:
    """Guess the type of files whose names end so; `tar.gz` differs from `gz`."""
    name = suffix.decode("utf-8", "replace")
    guessed, encoding = mimetypes.guess_type(f"file:x.{name}")
    return guessed if guessed and not encoding else _UNKNOWN
