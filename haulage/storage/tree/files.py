"""Operations on files by descriptor: open, describe, create, replace."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import xxhash

from haulage.errors import BlockedError, TransientError, UnstableError, VanishedError
from haulage.model import DEVICES, Entry, Kind
from haulage.paths import parent_of
from haulage.storage.tree.descent import Descent

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_GIGA = 1_000_000_000
_IN_THE_WAY = frozenset({errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST})
TEMP_PREFIX = b".haulage-"

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIR,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
}


def kind_of(mode: int) -> Kind:
    """Return the kind that a mode's type bits name."""
    return _KINDS[stat.S_IFMT(mode)]


def entry_of(path: bytes, found: os.stat_result, target: bytes | None = None) -> Entry:
    """Return the entry that `found` describes; a device's target is its number."""
    kind = kind_of(found.st_mode)
    if kind in DEVICES:
        target = b"%d:%d" % (os.major(found.st_rdev), os.minor(found.st_rdev))
    mtime_s, mtime_ns = divmod(found.st_mtime_ns, _GIGA)
    ctime_s, ctime_ns = divmod(found.st_ctime_ns, _GIGA)
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        size=found.st_size,
        mtime_s=mtime_s,
        mtime_ns=mtime_ns,
        ctime_s=ctime_s,
        ctime_ns=ctime_ns,
        dev=found.st_dev,
        ino=found.st_ino,
        nlink=found.st_nlink,
        target=target,
    )


def stood_still(before: os.stat_result, after: os.stat_result) -> bool:
    """Tell whether a file was unchanged while it was read."""
    return (
        before.st_size == after.st_size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
    )


def check_end(fd: int, size: int) -> None:
    """Raise UnstableError for a file that continues after its size."""
    if os.pread(fd, 1, size):
        raise other_than_its_size(size, size + 1)


def other_than_its_size(size: int, came: int) -> UnstableError:
    """Return the error for an unchanged file whose content does not match its size."""
    than = "has content" if not size else f"has {'more' if came > size else 'less'}"
    return UnstableError(
        f"says that it has {size} bytes, but {than}, as the files of /proc and /sys do"
    )


def temp_name(token: str, row: int | str) -> bytes:
    """Return the temporary's name for a row of the attempt with `token`."""
    return b"%s%s-%s" % (TEMP_PREFIX, token.encode(), str(row).encode())


def split_temp_name(prefix: bytes, path: bytes) -> bytes:
    """Return the temporary that the movers of all parts of a file share."""
    return prefix + xxhash.xxh3_64_hexdigest(path).encode()


def temp_dir_name(temp: bytes) -> bytes:
    """Return the name, beside `temp`, of a directory that will replace an entry."""
    return temp + b".d"


def open_source(descent: Descent, path: bytes) -> int:
    """Open a listed file; VanishedError or UnstableError if it is none now."""
    try:
        return open_file(descent, path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise VanishedError("is gone since it was listed") from err
    except OSError as err:
        if err.errno in (errno.ELOOP, errno.ENXIO):
            raise UnstableError("is no longer a file") from err
        raise


def open_file(descent: Descent, path: bytes) -> int:
    """Open a file for reading, never a link, never waiting for a FIFO's writer.

    The file's atime stays unchanged if we may prevent that: filters use it.
    """
    above = parent_of(path)
    dir_fd = descent.open(above)
    name = path[len(above) :]
    try:
        return os.open(name, _READ | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError:  # O_NOATIME is the owner's and root's
        return os.open(name, _READ, dir_fd=dir_fd)


def stat_in(descent: Descent, path: bytes) -> os.stat_result | None:
    """Stat an entry without following a link; None is proof of its absence.

    Only ENOENT and ENOTDIR prove absence; any other OSError is raised.
    """
    above = parent_of(path)
    name = path[len(above) :].rstrip(b"/") or b"."
    try:
        return os.stat(name, dir_fd=descent.open(above), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def rename_over(dir_fd: int, temp: bytes, name: bytes) -> None:
    """Give a temporary its name; BlockedError if a directory there has content."""
    try:
        os.rename(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError as err:
        if err.errno not in _IN_THE_WAY:
            raise
        _clear_empty_dir(dir_fd, name)
        os.rename(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def _clear_empty_dir(dir_fd: int, name: bytes) -> None:
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as err:
        if err.errno in _IN_THE_WAY:
            raise BlockedError("the target has a directory with content here") from err
        raise


def create(dir_fd: int, name: bytes, mode: int = 0o600) -> int:
    """Create a temporary for writing."""
    return os.open(name, _WRITE | os.O_CREAT | os.O_EXCL, mode, dir_fd=dir_fd)


def open_or_create(dir_fd: int, name: bytes, mode: int = 0o600) -> tuple[int, bool]:
    """Open a temporary that movers share, and tell whether it is new."""
    while True:
        with suppress(FileExistsError):
            return create(dir_fd, name, mode), True
        with suppress(FileNotFoundError):
            return os.open(name, _WRITE, dir_fd=dir_fd), False


def pin(descent: Descent, path: bytes) -> int:
    """Open an entry itself (O_PATH), whatever it is and its mode allows."""
    above = parent_of(path)
    name = path[len(above) :].rstrip(b"/") or b"."
    return pin_in(descent.open(above), name)


def pin_in(dir_fd: int, name: bytes) -> int:
    """Open an entry of an open directory itself, as above."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=dir_fd)


def remove_if_there(dir_fd: int, name: bytes) -> None:
    """Unlink a name that may not exist."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return


def make_dir(descent: Descent, path: bytes, temp: bytes) -> None:
    """Make sure that directory `path` exists.

    Any other entry at its name is replaced; missing parents are made. They stay
    accessible to their owner alone until the dirs pass.
    """
    reach(descent, parent_of(path), temp)
    _make_below(descent, path, temp)


def _make_below(descent: Descent, path: bytes, temp: bytes) -> None:
    """Make a directory whose parent exists."""
    above = parent_of(path)
    name = path[len(above) : -1]
    dir_fd = descent.open(above)
    try:
        descent.mkdir(path, dir_fd, name)
    except FileExistsError:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            open_for_owner(descent, path, found)
        else:
            _replace_by_dir(descent, path, dir_fd, temp_dir_name(temp))


def _replace_by_dir(descent: Descent, path: bytes, dir_fd: int, temp: bytes) -> None:
    name = path[len(parent_of(path)) : -1]
    descent.mkdir(path, dir_fd, temp)
    try:
        remove_if_there(dir_fd, name)
        os.rename(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError as err:
        os.rmdir(temp, dir_fd=dir_fd)
        if err.errno not in _IN_THE_WAY:  # another mover made the directory first
            raise


def open_for_owner(descent: Descent, path: bytes, found: os.stat_result) -> None:
    """Let an unprivileged owner write below; the dirs pass sets the final mode."""
    if os.geteuid() == 0 or found.st_mode & 0o700 == 0o700:
        return
    if found.st_uid == os.geteuid():
        above = parent_of(path)
        pinned = os.open(
            path[len(above) : -1],
            os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC,
            dir_fd=descent.open(above),
        )
        try:
            os.chmod(b"/proc/self/fd/%d" % pinned, stat.S_IMODE(found.st_mode) | 0o700)
        finally:
            os.close(pinned)


def open_to_write(descent: Descent, path: bytes) -> int:
    """Open a directory of the target, for its owner even if it is read-only.

    The dirs pass sets its mode again, because something below it changes.
    """
    fd = descent.open(path)
    if not descent.is_root:
        found = os.fstat(fd)
        if found.st_mode & 0o700 != 0o700 and found.st_uid == os.geteuid():
            os.fchmod(fd, stat.S_IMODE(found.st_mode) | 0o700)
    return fd


def reach(descent: Descent, path: bytes, temp: bytes) -> int:
    """Open directory `path` of the target, making missing ones on the way."""
    try:
        return open_to_write(descent, path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        if not path:
            raise
    at = path.find(b"/")
    while at >= 0:  # from the top, so that no depth is too much
        _open_or_make(descent, path[: at + 1], temp)
        at = path.find(b"/", at + 1)
    return descent.open(path)


def _open_or_make(descent: Descent, path: bytes, temp: bytes) -> None:
    try:
        descent.open(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as err:
        _make_below(descent, path, temp)
        try:
            descent.open(path)
        except (FileNotFoundError, NotADirectoryError):
            raise TransientError(f"{path!r} changed while it was made") from err


@contextmanager
def opened_directory(root: str) -> Iterator[int]:
    """Yield a descriptor of a directory, which is closed at the end."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
