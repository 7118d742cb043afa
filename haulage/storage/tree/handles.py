"""One open file of a tree: read in ranges, or written in ranges to a temporary."""

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from haulage.config.striping import Layout
from haulage.errors import UnstableError, VanishedError
from haulage.model import Lost
from haulage.storage.checksums import Checksum
from haulage.storage.read_back import Written, check_ranges, feed_of
from haulage.storage.resumable import Done, Ranges, checksum_of
from haulage.storage.store import (
    Extended,
    Extent,
    Made,
    Reading,
    Seen,
    Writing,
    nothing,
)
from haulage.storage.tree.files import (
    check_end,
    create,
    entry_of,
    open_or_create,
    remove_if_there,
    rename_over,
    stood_still,
)
from haulage.storage.tree.kernel.copying import (
    Kernel,
    feed,
    forget_cached,
    is_same_data,
)
from haulage.storage.tree.kernel.sparse import is_hashed
from haulage.storage.tree.lustre.files import (
    create_laid,
    create_shared,
    missing,
    open_laid,
)
from haulage.storage.tree.metadata.attributes import (
    attributes_in,
    mark_of,
    set_attributes,
)
from haulage.storage.tree.metadata.entries import metadata_of
from haulage.storage.tree.metadata.preserve import Preserved
from haulage.storage.tree.metadata.xattrs import joined, unkept
from haulage.storage.tree.split import check_complete, join, synced


class FileReading(Reading):
    """A source's file with a descriptor of its own."""

    def __init__(self, path: bytes, fd: int, preserved: Preserved) -> None:
        self._fd, self._preserved = fd, preserved
        self._before = os.fstat(fd)
        self.seen = Seen(entry_of(path, self._before), unkept=self._unkept())
        if not stat.S_ISREG(self._before.st_mode):
            os.close(fd)
            raise UnstableError("is no longer a file")

    def _unkept(self) -> Lost | None:
        return unkept(self._fd, self._before.st_dev, self._preserved)

    def read(self, extent: Extent) -> bytes:
        content = os.pread(self._fd, extent.length, extent.offset)
        while len(content) < extent.length:
            at = extent.offset + len(content)
            more = os.pread(self._fd, extent.length - len(content), at)
            if not more:
                raise UnstableError("shrank while it was read")
            content += more
        return content

    def forget_cached(self) -> None:
        forget_cached(self._fd)

    def has_same_data(self, other: Reading) -> bool:
        raise AssertionError("holes are read like zeros")

    def confirm(self) -> None:
        if not stood_still(self._before, os.fstat(self._fd)):
            raise UnstableError("changed while it was read")
        check_end(self._fd, self._before.st_size)

    def close(self) -> None:
        os.close(self._fd)


class KernelReading(FileReading):
    """A file of one of two trees, which their kernel reads."""

    def __init__(
        self, path: bytes, fd: int, preserved: Preserved, kernel: Kernel
    ) -> None:
        self._kernel = kernel
        super().__init__(path, fd, preserved)

    def _unkept(self) -> None:
        """Return nothing: another tree can have all, or `describe` says what not."""

    def describe(self) -> Seen:
        all_ = metadata_of(self._fd, self._before, self._preserved)
        extended = Extended(all_.attributes.atime_ns, all_.xattrs)
        return self.seen._replace(unkept=all_.lost, extended=extended)

    def fileno(self) -> int:
        """Return the descriptor, which stays this one's own."""
        return self._fd

    def feed(self, checksum: Checksum) -> bool:
        feed(self._kernel, checksum, self._fd)
        return True

    @property
    def has_huge_holes(self) -> bool:
        return not is_hashed(self._before)

    def has_same_data(self, other: Reading) -> bool:
        assert isinstance(other, KernelReading)
        return is_same_data(self._kernel, self._fd, other.fileno())


class Naming(NamedTuple):
    """Names of a large file: the final one, the temporary, and this attempt's own.

    With a layout, the temporary gets its name only when it has that.
    """

    name: bytes
    temp: bytes
    own: bytes
    layout: Layout | None


class FileWriting(Writing):
    """A large file under a temporary name, with ranges written in place.

    With a record (`ranges`) several movers fill one temporary, and a later attempt
    knows what it holds; a record whose temporary is gone is void.
    """

    def __init__(
        self,
        dir_fd: int,
        names: Naming,
        ranges: Ranges | None,
        *,
        prove: bool,
        fsync: bool,
        check: Callable[[], None],
    ) -> None:
        """Open the temporary, created if missing; this object now owns `dir_fd`."""
        self._dir_fd, self._name, self._temp = dir_fd, names.name, names.temp
        self._ranges, self._layout = ranges, names.layout
        self._proves, self._fsync, self._check = prove, fsync, check
        self.done: dict[int, Done] = {}
        try:
            was_noted = ranges is not None and ranges.id is not None
            self._fd, is_new = _open(dir_fd, names, shared=ranges is not None)
        except BaseException:
            os.close(dir_fd)
            raise
        try:
            if ranges:
                join(ranges, self._fd, is_void=was_noted and is_new)
                self.done = ranges.done()
        except BaseException:
            self.leave()
            raise

    def write(self, offset: int, content: bytes | memoryview, done: Done) -> None:
        view = memoryview(content)
        at = offset
        while view:
            written = os.pwrite(self._fd, view, at)
            view, at = view[written:], at + written
        if self._proves:
            self._prove(Written(offset, len(content), done.digest))
        if self._ranges:
            if not self._proves:
                os.fdatasync(self._fd)  # what is noted is not written again
            self._ranges.note(offset, done)
        self.done[offset] = done

    def _prove(self, written: Written) -> None:
        with synced(self._fd, written.offset, written.length) as fd:
            feed = feed_of(lambda offset, length: os.pread(fd, length, offset))
            check_ranges(feed, [written], "written")

    def finish(self, seen: Seen, confirm: Callable[[], None] = nothing) -> Made:
        try:
            if self._ranges:
                self.done = self._ranges.done()  # of other movers too
            check_complete(self.done, seen.entry.size)
            os.ftruncate(self._fd, seen.entry.size)
            lost = set_attributes(self._fd, attributes_in(seen.entry))
            mark = mark_of(self._fd, lost)
            if self._layout:
                unlaid = missing(self._dir_fd, self._temp, self._layout)
                lost = joined(lost, unlaid)
            if self._fsync:
                os.fsync(self._fd)
            confirm()
            self._check()
        except (UnstableError, VanishedError):
            self.abandon()
            raise
        except BaseException:  # who was only stopped leaves the ranges
            self.leave()
            raise
        self._take_name()
        checksum = checksum_of(self.done) if self._proves else None
        return Made(mark, lost, self._proves, checksum=checksum)

    def _take_name(self) -> None:
        try:
            if self._ranges:  # first, so that no record outlives its temporary
                self._ranges.forget()
            rename_over(self._dir_fd, self._temp, self._name)
        except BaseException:
            self.abandon()
            raise
        self.leave()

    def abandon(self) -> None:
        try:
            if self._ranges:
                self._ranges.forget()
            remove_if_there(self._dir_fd, self._temp)
        finally:
            self.leave()

    def leave(self) -> None:
        try:
            if not self._ranges:  # the next attempt names its temporary otherwise
                remove_if_there(self._dir_fd, self._temp)
        finally:
            os.close(self._fd)
            os.close(self._dir_fd)


def _open(dir_fd: int, names: Naming, *, shared: bool) -> tuple[int, bool]:
    """Return the temporary, and whether it is new: inode numbers alone are reused."""
    if names.layout:
        return _open_laid(dir_fd, names, names.layout, shared=shared)
    if shared:
        return open_or_create(dir_fd, names.temp)
    return create(dir_fd, names.temp), True


def _open_laid(
    dir_fd: int, names: Naming, layout: Layout, *, shared: bool
) -> tuple[int, bool]:
    if not shared:
        return create_laid(dir_fd, names.temp, layout)[0], True
    try:
        return open_laid(dir_fd, names.temp), False
    except FileNotFoundError:
        return create_shared(dir_fd, names.temp, names.own, layout)
