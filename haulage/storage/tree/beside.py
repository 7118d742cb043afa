"""A tree beside another one, both in reach of one kernel, which copies between them.

It is what a server that copies by itself is for two buckets. One thread uses it.
"""

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from haulage.errors import UnstableError
from haulage.model import Action
from haulage.paths import parent_of
from haulage.storage.resumable import checksum_of
from haulage.storage.store import Extended, Extent, Made, Reading, Seen, Store, Within
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import (
    entry_of,
    open_source,
    open_to_write,
    other_than_its_size,
    pin,
    pin_in,
    reach,
    remove_if_there,
    rename_over,
    stat_in,
    stood_still,
)
from haulage.storage.tree.filesystem.clock import is_racy, now_at
from haulage.storage.tree.handles import KernelReading
from haulage.storage.tree.kernel.copying import Kernel, copy_content
from haulage.storage.tree.lustre.layouts import Layouts
from haulage.storage.tree.metadata.attributes import mark_of, name_of
from haulage.storage.tree.metadata.entries import (
    Inheritance,
    Metadata,
    changes_to,
    metadata_in,
    metadata_of,
    set_metadata,
)
from haulage.storage.tree.metadata.xattrs import XattrChanges, joined, read_xattrs
from haulage.storage.tree.special_file import make_node
from haulage.storage.tree.split import (
    CHANGED,
    GONE,
    Source,
    check_complete,
    fill,
    join,
    open_complete,
)
from haulage.storage.tree.store import Files, Settings, is_named_so
from haulage.storage.versions import is_as_listed


class _Ends(NamedTuple):
    """A source and its temporary, open, and what the temporary is to become."""

    source: int
    target: int
    before: os.stat_result
    wanted: Metadata
    changes: XattrChanges


class KernelFiles(Files):
    """One of two trees that have the same `kernel`."""

    def __init__(self, descent: Descent, settings: Settings, kernel: Kernel) -> None:
        """Give the tree, what the attempt has of its own, and what copies."""
        super().__init__(descent, settings)
        self.kernel = kernel
        self.inheritance = Inheritance(self.preserved)

    def open(self, path: bytes, size: int, etag: bytes | None = None) -> Reading:
        fd = open_source(self.descent, path)
        return KernelReading(path, fd, self.preserved, self.kernel)

    def _described(self, path: bytes) -> Seen | None:
        """Return an entry with all that another tree can have of it.

        It is only held: one that may not be read was told as such by its listing.
        """
        try:
            pinned = pin(self.descent, path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = os.fstat(pinned)
            if not is_named_so(path, found):
                return None
            if stat.S_ISLNK(found.st_mode):
                return self._link_with_all(path, found)
            wanted = metadata_of(pinned, found, self.preserved, pinned=True)
        finally:
            os.close(pinned)
        extended = Extended(found.st_atime_ns, wanted.xattrs)
        return Seen(entry_of(path, found), unkept=wanted.lost, extended=extended)

    def _link_with_all(self, path: bytes, found: os.stat_result) -> Seen:
        """Return a symbolic link; only root can give one attributes."""
        entry = entry_of(path, found, self._readlink(path))
        if not self.descent.is_root:
            return Seen(entry)
        above = parent_of(path)
        name = name_of(self.descent.open(above), path[len(above) :])
        xattrs = read_xattrs(name, found.st_dev, self.preserved, follow=False)
        return Seen(entry, extended=Extended(found.st_mtime_ns, xattrs))

    def copy_within(self, source: Store, action: Action, row: int) -> Within:
        assert isinstance(source, KernelFiles)
        fd = open_source(source.descent, action.path)
        try:
            now = now_at(fd)
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise UnstableError("is no longer a file")
            within, is_torn = self._copy(source, (fd, before), action, row)
        finally:
            os.close(fd)
        racy = is_racy(before.st_mtime_ns, before.st_ctime_ns, now) or is_torn
        return within._replace(racy=racy)

    def _copy(
        self,
        source: "KernelFiles",
        opened: tuple[int, os.stat_result],
        action: Action,
        row: int,
    ) -> tuple[Within, bool]:
        """Copy through a temporary; tell as well whether that leaves names behind."""
        path, (fd, before) = action.path, opened
        above, temp = parent_of(path), self.temp(row)
        dir_fd = reach(self.descent, above, temp)
        with self.named(dir_fd, temp, path[len(above) :]):
            wanted = metadata_of(fd, before, self.preserved)
            changes = self.inheritance.changes_to_new(above, dir_fd, wanted.xattrs)
            layouts = self._layouts_like(source)
            target, lost = layouts.create(path, before.st_size, dir_fd, temp)
            wanted = wanted._replace(lost=joined(wanted.lost, lost))
            within = self._fill_whole(path, _Ends(fd, target, before, wanted, changes))
            is_torn = self._tears(action)
        return within, is_torn

    def _layouts_like(self, source: "KernelFiles") -> Layouts:
        return Layouts(self.rules, self.preserved.new_mode, source.descent)

    def _tears(self, action: Action) -> bool:
        """Tell whether names stay behind that take no part, such as those left out.

        The manifest would call the group whole; what is racy is joined when they do.
        """
        if action.nlink == 1:
            return False
        found = stat_in(self.descent, action.path)
        return found is not None and found.st_nlink > action.shared + action.leaving

    def _fill_whole(self, path: bytes, ends: _Ends) -> Within:
        """Give the temporary its content and attributes, and close it."""
        source, target, before, wanted, changes = ends
        try:
            moved = self.kernel.moved
            copied, checksum = copy_content(self.kernel, source, target, before)
            if not stood_still(before, os.fstat(source)):
                raise UnstableError("changed while it was copied")
            if copied != before.st_size:
                raise other_than_its_size(before.st_size, copied)
            lost = set_metadata(target, wanted, changes, self.preserved)
            mark = mark_of(target, lost, self.preserved)
            if self.fsync:
                os.fsync(target)
        finally:
            os.close(target)
        moved = self.kernel.moved - moved  # without holes
        made = Made(mark, lost, checksum=checksum)
        return Within(Seen(entry_of(path, before)), made, moved)

    def make_special(self, path: bytes, row: int, seen: Seen) -> Made:
        above, temp = parent_of(path), self.temp(row)
        dir_fd = reach(self.descent, above, temp)
        make_node(dir_fd, temp, seen.entry, self.preserved.new_mode)
        with self.named(dir_fd, temp, path[len(above) :]):
            wanted = metadata_in(seen)
            changes = self.inheritance.changes_to_new(above, dir_fd, wanted.xattrs)
            return self._with_metadata(dir_fd, temp, wanted, changes)

    def _with_metadata(
        self, dir_fd: int, temp: bytes, wanted: Metadata, changes: XattrChanges
    ) -> Made:
        fd = pin_in(dir_fd, temp)
        try:
            handle = b"/proc/self/fd/%d" % fd
            lost = set_metadata(handle, wanted, changes, self.preserved)
            return Made(mark_of(handle, lost, self.preserved), lost)
        finally:
            os.close(fd)

    def part_within(self, source: Store, action: Action, row: int) -> Within:
        assert isinstance(source, KernelFiles)
        fd = open_source(source.descent, action.path)
        try:
            now = now_at(fd)
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode) or before.st_size != action.size:
                raise UnstableError("changed since it was listed")
            moved = self._fill_part(source, Source(fd, before), action, row)
        finally:
            os.close(fd)
        racy = is_racy(before.st_mtime_ns, before.st_ctime_ns, now)
        seen = Seen(entry_of(action.path, before))
        return Within(seen, Made(), moved, racy)

    def _fill_part(
        self, source: "KernelFiles", opened: Source, action: Action, row: int
    ) -> int:
        path, size, own = action.path, action.size, self.temp(row)
        dir_fd = reach(self.descent, parent_of(path), own)
        temp, layouts = self.split_name(path), self._layouts_like(source)
        ranges = self.record(entry_of(path, opened.before))
        was_noted = ranges.id is not None
        target, is_new = layouts.open_shared(path, size, dir_fd, temp, own)
        try:
            join(ranges, target, is_void=was_noted and is_new)
            extent = Extent(action.offset, action.length)
            return fill(self.kernel, opened, target, ranges, extent)
        finally:
            os.close(target)

    def publish_within(self, source: Store, parts: Sequence[Action]) -> Made:
        """See Store; what has its name already is finished once more."""
        assert isinstance(source, KernelFiles)
        path = parts[-1].path
        above, temp = parent_of(path), self.split_name(path)
        try:
            dir_fd = open_to_write(self.descent, above)
        except (FileNotFoundError, NotADirectoryError) as err:
            raise UnstableError(GONE) from err
        try:
            return self._publish(source, dir_fd, path[len(above) :], parts)
        except UnstableError:  # who was only stopped leaves the parts
            remove_if_there(dir_fd, temp)
            raise

    def _publish(
        self, source: "KernelFiles", dir_fd: int, name: bytes, parts: Sequence[Action]
    ) -> Made:
        seen = _still_there(source, parts)
        temp, ranges = self.split_name(seen.entry.path), self.record(seen.entry)
        size = seen.entry.size
        target, found = open_complete(dir_fd, (temp, name), ranges, size)
        try:
            join(ranges, target, is_void=False)
            done = ranges.done()
            check_complete(done, size)
            made = self._finished(source, dir_fd, (target, found), seen)
        finally:
            os.close(target)
        self.check()
        if found == temp:
            rename_over(dir_fd, temp, name)
        return made._replace(checksum=checksum_of(done))

    def _finished(
        self,
        source: "KernelFiles",
        dir_fd: int,
        found: tuple[int, bytes],
        seen: Seen,
    ) -> Made:
        """Give the file under a descriptor and name the attributes of `seen`."""
        target, name = found
        changes = changes_to(target, os.fstat(target), seen, self.preserved)
        lost = set_metadata(target, metadata_in(seen), changes, self.preserved)
        path, size = seen.entry.path, seen.entry.size
        unlaid = self._layouts_like(source).lost_by_parts(path, size, dir_fd, name)
        lost = joined(joined(lost, seen.unkept), unlaid)
        mark = mark_of(target, lost, self.preserved)
        if self.fsync:
            os.fsync(target)
        return Made(mark, lost)


def _still_there(source: KernelFiles, parts: Sequence[Action]) -> Seen:
    """Return the source's file, which must be the one that every part was copied of."""
    seen = source.look(parts[0].path, described=True)
    if seen is None or not all(is_as_listed(piece, seen.entry) for piece in parts):
        raise UnstableError(CHANGED)
    return seen
