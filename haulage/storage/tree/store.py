"""A directory tree as a store.

Every method may be called from any thread: the descent, which keeps descriptors of
directories and closes the oldest, is used under a lock, and what leaves the lock is a
duplicate.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from haulage.config.striping import NO_RULES, Layout, Rules
from haulage.errors import PermanentError, VanishedError
from haulage.model import Action, Entry, Kind, Lost, Outcome
from haulage.paths import parent_of
from haulage.storage.differences import differences
from haulage.storage.resumable import Ranges, begun, drop
from haulage.storage.store import (
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
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import (
    create,
    entry_of,
    make_dir,
    open_source,
    pin,
    reach,
    remove_if_there,
    rename_over,
    split_temp_name,
    stat_in,
)
from haulage.storage.tree.filesystem.clock import now_at
from haulage.storage.tree.handles import FileReading, FileWriting, Naming
from haulage.storage.tree.hard_link import leader_of, link_to
from haulage.storage.tree.lustre.files import create_laid
from haulage.storage.tree.metadata.attributes import (
    attributes_in,
    made_of,
    mark_of,
    name_of,
    set_attributes,
    set_link_attributes,
    set_mode,
)
from haulage.storage.tree.metadata.entries import (
    changes_to,
    metadata_in,
    set_metadata,
)
from haulage.storage.tree.metadata.flags import why_forbidden
from haulage.storage.tree.metadata.in_place import set_in_place
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.storage.tree.metadata.xattrs import (
    NO_CHANGES,
    XattrChanges,
    joined,
    unkept,
)
from haulage.storage.tree.ours import is_ours
from haulage.storage.tree.remove import gone_already, remove_ours
from haulage.storage.tree.trash.restore import bring_back


@dataclass(frozen=True, slots=True)
class Settings:
    """What an attempt has of its own: how temporaries are named, and what it may.

    `check` raises when another attempt has the shard now; it is called right before
    anything of the target is replaced or removed.
    """

    temp: bytes  # with the attempt's token; a row's number follows
    split: bytes  # with the run's token, for files whose parts movers share
    fsync: bool
    ranges: Path  # where large transfers are noted
    check: Callable[[], None]
    preserved: Preserved = field(default_factory=Preserved)
    trash: bytes | None = None  # where deletes go, if they are not final
    rules: Rules = NO_RULES  # for layouts on a Lustre


class Files(Store):
    """The tree below a descent."""

    def __init__(self, descent: Descent, settings: Settings) -> None:
        """Give the tree, and what the attempt has of its own."""
        self.descent = descent
        self._temp, self._split = settings.temp, settings.split
        self.fsync, self._ranges = settings.fsync, settings.ranges
        self.check, self.preserved = settings.check, settings.preserved
        self.trash, self.rules = settings.trash, settings.rules
        self._lock = threading.RLock()

    def temp(self, row: int) -> bytes:
        """Return the temporary's name for a row of this attempt."""
        return self._temp + b"%d" % row

    def split_name(self, path: bytes) -> bytes:
        """Return the temporary that the movers of all of a file's parts share."""
        return split_temp_name(self._split, path)

    def record(self, source: Entry) -> Ranges:
        """Return the record of a large transfer of this version of the source."""
        return Ranges(self._ranges, source.path, source)

    def look(
        self, path: bytes, *, anew: bool = True, described: bool = False
    ) -> Seen | None:
        with self._lock:
            if anew:
                self.descent.forget()  # a directory kept open may have been replaced
            return self._described(path) if described else self._found(path)

    def _found(self, path: bytes) -> Seen | None:
        found = self._stat(path)
        if found is None:
            return None
        is_link = stat.S_ISLNK(found.st_mode)
        return Seen(entry_of(path, found, self._readlink(path) if is_link else None))

    def _described(self, path: bytes) -> Seen | None:
        """Return an entry, and what of it no object can hold."""
        seen = self._found(path)
        if seen is None or seen.entry.kind == Kind.SYMLINK:
            return seen
        above = parent_of(path)
        name = name_of(self.descent.open(above), path[len(above) :].rstrip(b"/"))
        try:
            lost = unkept(name, seen.entry.dev, self.preserved, follow=False)
        except OSError:  # it is gone again, or not to be read: that is told elsewhere
            return seen
        return seen._replace(unkept=lost)

    def _stat(self, path: bytes) -> os.stat_result | None:
        """Return the stat of `path`; None if there is none of its form (`d`, `d/`)."""
        found = stat_in(self.descent, path)
        return found if found and is_named_so(path, found) else None

    def _readlink(self, path: bytes) -> bytes:
        above = parent_of(path)
        return os.readlink(path[len(above) :], dir_fd=self.descent.open(above))

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        with self._lock:
            fd = open_source(self.descent, path)
        return FileReading(path, fd, self.preserved)

    def lists(self, path: bytes) -> bool:
        return False

    def now(self, path: bytes) -> Now:
        with self._lock:
            try:
                return now_at(self.descent.open(parent_of(path)))
            except (FileNotFoundError, NotADirectoryError):  # so is the entry
                return now_at(self.descent.root_fd)

    def is_empty(self) -> bool:
        with os.scandir(self.descent.root_fd) as entries:
            return all(is_ours(os.fsencode(entry.name)) for entry in entries)

    def copy_within(self, source: Store, action: Action, row: int) -> Within | None:
        return None

    def write(
        self, path: bytes, row: int, content: bytes | memoryview, seen: Seen
    ) -> Made:
        temp = self.temp(row)
        with (
            self._above(path, temp) as (dir_fd, name),
            self.named(dir_fd, temp, name),
        ):
            fd, unlaid = self._create(dir_fd, temp, len(content))
            mark, lost = self._fill(fd, content, seen.entry)
        return Made(mark, joined(lost, unlaid))

    @contextmanager
    def named(self, dir_fd: int, temp: bytes, name: bytes) -> Iterator[None]:
        """Give its name to what is made as `temp` meanwhile; remove it on an error."""
        try:
            yield
            self.check()
            rename_over(dir_fd, temp, name)
        except BaseException:
            remove_if_there(dir_fd, temp)
            raise

    def _create(self, dir_fd: int, temp: bytes, size: int) -> tuple[int, Lost | None]:
        layout = self._layout(size)
        if layout is None:
            return create(dir_fd, temp), None
        return create_laid(dir_fd, temp, layout)

    def _layout(self, size: int) -> Layout | None:
        """Return the layout requested for a file of this size on Lustre, or None."""
        rule = self.rules.of_file(size)
        return rule and rule.layout

    def _fill(
        self, fd: int, content: bytes | memoryview, entry: Entry
    ) -> tuple[bytes | None, Lost | None]:
        """Write a temporary's content and attributes, and close it."""
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            lost = set_attributes(fd, attributes_in(entry))
            mark = mark_of(fd, lost)
            if self.fsync:
                os.fsync(fd)
        finally:
            os.close(fd)
        return mark, lost

    @contextmanager
    def _above(self, path: bytes, temp: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield a descriptor of the parent, created if missing, and the last name."""
        above = parent_of(path)
        with self._lock:
            dir_fd = os.dup(reach(self.descent, above, temp))
        try:
            yield dir_fd, path[len(above) :]
        finally:
            os.close(dir_fd)

    def begin(
        self, path: bytes, row: int, seen: Seen, *, shared: bool, prove: bool = False
    ) -> Writing:
        above = parent_of(path)
        temp = self.temp(row)
        with self._lock:
            dir_fd = os.dup(reach(self.descent, above, temp))
        ranges = self.record(seen.entry) if shared else None
        layout = self._layout(seen.entry.size)
        names = Naming(path[len(above) :], temp, temp, layout)
        if ranges:
            names = names._replace(temp=self.split_name(path))
        return FileWriting(
            dir_fd,
            names,
            ranges,
            prove=prove,
            fsync=self.fsync,
            check=self.check,
        )

    @property
    def takes_ranges(self) -> bool:
        return True

    def pour(self, path: bytes, chunks: Chunks, seen: Seen) -> Made:
        raise AssertionError("a file is made of ranges")

    def link(self, path: bytes, row: int, seen: Seen) -> Made:
        to = seen.entry.target
        if to is None:
            raise VanishedError("could not be read when it was listed")
        if not to or b"\0" in to:
            raise PermanentError(f"is a link to {to!r}, which no directory can hold")
        temp, wanted = self.temp(row), metadata_in(seen)
        changes = XattrChanges(wanted.xattrs) if wanted.xattrs else NO_CHANGES
        with self._above(path, temp) as (dir_fd, name):
            os.symlink(to, temp, dir_fd=dir_fd)
            with self.named(dir_fd, temp, name):
                lost = set_link_attributes(
                    dir_fd, temp, wanted.attributes, changes, self.preserved
                )
                made = name_of(dir_fd, temp)
                mark = mark_of(made, lost, self.preserved, follow=False)
        return Made(mark, lost)

    def make_special(self, path: bytes, row: int, seen: Seen) -> Made:
        raise AssertionError("no bucket has special files")

    @property
    def has_directories(self) -> bool:
        return True

    def make_dir(self, path: bytes, row: int) -> Lost | None:
        if not path:
            return None
        with self._lock:
            make_dir(self.descent, path, self.temp(row))
            maker = self.descent.maker
            return maker.settle(self.descent, path) if maker else None

    def finish_dir(self, path: bytes, seen: Seen) -> Made:
        """See Store; a directory that no object stands for keeps its times."""
        with self._lock:
            fd = self.descent.open(path)
            self.check()
            if is_implied(seen.entry):
                return Made(lost=set_mode(fd, seen.entry.mode))
            changes = changes_to(fd, os.fstat(fd), seen, self.preserved)
            lost = set_metadata(fd, metadata_in(seen), changes, self.preserved)
            has_mark = self.preserved.times
            return Made(mark_of(fd, lost, self.preserved) if has_mark else None, lost)

    def implied(self, path: bytes) -> Seen:
        raise VanishedError("is gone since it was listed")

    def set_attributes(self, action: Action, seen: Seen) -> Made | None:
        """See Store; a file with other names may stay, but is not changed in place."""
        try:
            with self._lock:
                pinned = pin(self.descent, action.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return set_in_place(pinned, action, seen, self.preserved, self.check)
        finally:
            os.close(pinned)

    def settle(self, path: bytes, row: int) -> None:
        spelling = self.descent.spelling
        if spelling and spelling.folds:
            with self._lock:
                spelling.settle(path, self.temp(row))

    def differences(self, action: Action, found: Entry) -> list[str]:
        wanted = made_of(action, found, self.preserved)
        return differences(found, wanted, self._names_made(action))

    def _names_made(self, action: Action) -> list[str]:
        """Return what was made: kind, size, times and target, and what root can set.

        A directory in doubt waits for its attributes; one that no object stands for
        has none.
        """
        names = ["kind", "target"]
        if action.kind == Kind.DIR and (action.racy or is_implied(action.entry)):
            return names
        if self.preserved.times or action.made is not None:
            names += ["mtime_s", "mtime_ns"]
        if action.kind == Kind.FILE:
            names.append("size")
        if os.geteuid() == 0:
            names += ["uid", "gid"]
            if action.kind != Kind.SYMLINK:
                names.append("mode")
        return names

    def remove(self, action: Action) -> Outcome:
        with self._lock:
            found = self._stat(action.path)
            if found is None:
                return gone_already(self.descent, action.path, self.trash)
            self.check()
            return remove_ours(self.descent, action, found, self.trash)

    def restore(self, action: Action) -> Outcome:
        assert self.trash is not None
        with self._lock:
            return bring_back(self.descent, action, self.trash)

    def join(self, action: Action, row: int) -> Made:
        leader, temp = leader_of(action), self.temp(row)
        with self._lock:
            is_new = link_to(self.descent, leader, action.path, temp, self.check)
            return Made(changed=is_new)

    def vacate(self, path: bytes) -> None:
        """See Store; whatever takes a name here does this by itself."""

    def discard(self, path: bytes) -> None:
        for _, _, record in begun(self._ranges, path):
            drop(record)
        with self._lock:
            try:
                dir_fd = self.descent.open(parent_of(path))
            except (FileNotFoundError, NotADirectoryError):
                return
            remove_if_there(dir_fd, self.split_name(path))

    def why_refused(self, path: bytes, err: OSError) -> str | None:
        with self._lock:
            return why_forbidden(self.descent, path, err)

    def close(self) -> None:
        self.descent.close()


def is_named_so(path: bytes, found: os.stat_result) -> bool:
    """Tell whether a path is that of a directory exactly if one stands there."""
    return stat.S_ISDIR(found.st_mode) == (not path or path.endswith(b"/"))
