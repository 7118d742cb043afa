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
    Writing,
    is_implied,
)
from haulage.storage.tree.clock import now_at
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import (
    create,
    entry_of,
    make_dir,
    open_source,
    reach,
    remove_if_there,
    rename_over,
    split_temp_name,
    stat_in,
)
from haulage.storage.tree.handles import FileReading, FileWriting, Names
from haulage.storage.tree.hard_link import leader_of, link_to
from haulage.storage.tree.kernel import Kernel
from haulage.storage.tree.lustre.files import create_laid
from haulage.storage.tree.metadata.attributes import (
    attributes_in,
    attributes_of,
    made_of,
    mark_of,
    name_of,
    set_attributes,
    set_link_attributes,
    set_mode,
)
from haulage.storage.tree.metadata.entries import Inheritance
from haulage.storage.tree.metadata.flags import why_forbidden
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.storage.tree.metadata.xattrs import joined, unkept
from haulage.storage.tree.ours import is_ours
from haulage.storage.tree.remove import gone_already, remove_ours
from haulage.storage.tree.trash.restore import bring_back


class Files(Store):
    """The tree below a descent; `temp` names an attempt's temporaries, by row.

    `check` raises when another attempt has the shard now; it is called right before
    anything of the target is replaced or removed.
    """

    def __init__(  # noqa: PLR0913  what an attempt has of its own
        self,
        descent: Descent,
        *,
        temp: bytes,
        split: bytes,
        fsync: bool,
        ranges: Path,
        check: Callable[[], None],
        kernel: Kernel | None = None,
        preserved: Preserved | None = None,
        trash: bytes | None = None,
        rules: Rules = NO_RULES,
    ) -> None:
        self.descent = descent
        self._temp = temp
        self._split = split
        self.fsync = fsync
        self._ranges = ranges
        self.check = check
        self.preserved = preserved or Preserved()
        self._kernel = kernel
        self.inheritance = Inheritance(self.preserved)
        self.trash = trash
        self.rules = rules
        self._lock = threading.RLock()

    @property
    def kernel(self) -> Kernel:
        """Return what copies and hashes here, between two trees."""
        assert self._kernel is not None
        return self._kernel

    def temp(self, row: int) -> bytes:
        """Return the temporary's name for a row of this attempt."""
        return self._temp + b"%d" % row

    def split_name(self, path: bytes) -> bytes:
        """Return the temporary that the movers of all of a file's parts share."""
        return split_temp_name(self._split, path)

    def look(self, path: bytes, *, anew: bool = True) -> Seen | None:
        with self._lock:
            if anew:
                self.descent.forget()  # a directory kept open may have been replaced
            found = self._stat(path)
            if found is None:
                return None
            is_link = stat.S_ISLNK(found.st_mode)
            target = self._readlink(path) if is_link else None
            lost = None if is_link else self._unkept(path, found)
        return Seen(entry_of(path, found, target), unkept=lost)

    def _unkept(self, path: bytes, found: os.stat_result) -> Lost | None:
        """Return what no bucket can hold, if that is the other end."""
        if self._kernel:
            return None
        above = parent_of(path)
        name = name_of(self.descent.open(above), path[len(above) :].rstrip(b"/"))
        try:
            return unkept(name, found.st_dev, self.preserved, follow=False)
        except OSError:  # it is gone again, or not to be read: that is told elsewhere
            return None

    def _stat(self, path: bytes) -> os.stat_result | None:
        """Return the stat of `path`; None if there is none of its form (`d`, `d/`)."""
        found = stat_in(self.descent, path)
        is_dir = not path or path.endswith(b"/")
        return found if found and stat.S_ISDIR(found.st_mode) == is_dir else None

    def _readlink(self, path: bytes) -> bytes:
        above = parent_of(path)
        return os.readlink(path[len(above) :], dir_fd=self.descent.open(above))

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        with self._lock:
            fd = open_source(self.descent, path)
        return FileReading(path, fd, self.preserved, self._kernel)

    def lists(self, path: bytes) -> bool:
        return False

    def now(self) -> Now:
        return now_at(self.descent.root_fd)

    def is_empty(self) -> bool:
        with os.scandir(self.descent.root_fd) as entries:
            return all(is_ours(os.fsencode(entry.name)) for entry in entries)

    def copy_within(self, source: Store, action: Action) -> None:
        return None

    def write(
        self, path: bytes, row: int, content: bytes | memoryview, seen: Seen
    ) -> Made:
        temp = self.temp(row)
        with self._above(path, temp) as (dir_fd, name):
            try:
                fd, unlaid = self._create(dir_fd, temp, len(content))
                mark, lost = self._fill(fd, content, seen.entry)
                self.check()
                rename_over(dir_fd, temp, name)
            except BaseException:
                remove_if_there(dir_fd, temp)
                raise
        return Made(mark, joined(lost, unlaid))

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

    def begin(self, path: bytes, row: int, seen: Seen, *, shared: bool) -> Writing:
        above = parent_of(path)
        temp = self.temp(row)
        with self._lock:
            dir_fd = os.dup(reach(self.descent, above, temp))
        ranges = Ranges(self._ranges, path, seen.entry) if shared else None
        names = Names(path[len(above) :], temp, temp)
        if ranges:
            names = names._replace(temp=self.split_name(path))
        return FileWriting(
            dir_fd,
            names,
            ranges,
            self._layout(seen.entry.size),
            fsync=self.fsync,
            check=self.check,
        )

    @property
    def takes_ranges(self) -> bool:
        return True

    def pour(self, path: bytes, chunks: Chunks, seen: Seen) -> Made:
        raise AssertionError("a file is made of ranges")

    def link(self, path: bytes, row: int, entry: Entry) -> Made:
        if entry.target is None:
            raise VanishedError("could not be read when it was listed")
        if not entry.target or b"\0" in entry.target:
            raise PermanentError(
                f"is a link to {entry.target!r}, which no directory can hold"
            )
        temp = self.temp(row)
        with self._above(path, temp) as (dir_fd, name):
            os.symlink(entry.target, temp, dir_fd=dir_fd)
            try:
                lost = set_link_attributes(dir_fd, temp, attributes_in(entry))
                mark = mark_of(name_of(dir_fd, temp), lost, follow=False)
                self.check()
                rename_over(dir_fd, temp, name)
            except BaseException:
                remove_if_there(dir_fd, temp)
                raise
        return Made(mark, lost)

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
            if not is_implied(seen.entry):
                lost = set_attributes(fd, attributes_in(seen.entry))
                return Made(mark_of(fd, lost), lost)
            return Made(lost=set_mode(fd, seen.entry.mode))

    def implied(self, path: bytes) -> Seen:
        raise VanishedError("is gone since it was listed")

    def set_attributes(self, action: Action, seen: Seen) -> Made | None:
        """See Store; a file with other names may stay, but is not changed in place."""
        try:
            handle = self._pin(action.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = os.fstat(handle)
            was_ns = action.was_mtime_s * 1_000_000_000 + action.was_mtime_ns
            made = (seen.entry.size, action.mtime_at_target_ns(was_ns))
            is_file = stat.S_ISREG(found.st_mode)
            if not is_file or (found.st_size, found.st_mtime_ns) != made:
                return None
            wanted = attributes_in(seen.entry)
            has = attributes_of(found)
            is_kept = found.st_nlink == 1 or _is_of_one_file(action, seen.entry)
            if is_kept and has._replace(atime_ns=wanted.atime_ns) == wanted:
                return Made(changed=False)
            if found.st_nlink > 1:
                return None
            itself = b"/proc/self/fd/%d" % handle
            lost = set_attributes(itself, wanted)
            return Made(mark_of(itself, lost), lost)
        finally:
            os.close(handle)

    def _pin(self, path: bytes) -> int:
        """Open an entry itself (O_PATH), whatever its mode allows."""
        above = parent_of(path)
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._lock:
            return os.open(path[len(above) :], flags, dir_fd=self.descent.open(above))

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


def _is_of_one_file(action: Action, entry: Entry) -> bool:
    """Tell whether a name belongs to the same file at the source as before."""
    return (action.dev, action.ino) == (entry.dev, entry.ino)
