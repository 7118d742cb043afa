"""A file system of a test's own that keeps case and folds it, as SMB and APFS do."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_LATEST_S = 60.0
_STAT_FIELDS = (
    *("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size"),
    *("st_atime_ns", "st_mtime_ns", "st_ctime_ns"),
)


@contextmanager
def folding(home: Path, mount: Path) -> Iterator[Path]:
    """Mount a folding view of `home` at `mount`; skip where no FUSE is."""
    try:
        _fuse()
    except (ImportError, OSError) as err:
        pytest.skip(f"no FUSE for Python here: {err}")
    home.mkdir(exist_ok=True)
    mount.mkdir(exist_ok=True)
    serves = subprocess.Popen([sys.executable, __file__, home, mount])
    until = time.monotonic() + _LATEST_S
    while not mount.is_mount():
        if serves.poll() is not None:
            pytest.skip("no FUSE can be mounted here")
        assert time.monotonic() < until, "the mount does not come"
        time.sleep(0.02)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
        serves.wait()


class _View:
    """Every call on the entry whose name differs by case alone."""

    use_ns = True

    def __init__(self, home: str) -> None:
        self._home = home

    def _at(self, path: str) -> str:
        at = self._home
        for part in filter(None, path.split("/")):
            names = os.listdir(at) if Path(at).is_dir() else []
            same = (name for name in names if name.lower() == part.lower())
            at = os.path.join(at, part if part in names else next(same, part))
        return at

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = _sorted(os.lstat, self._at(path))
        fields = {name: getattr(found, name) for name in _STAT_FIELDS}
        return {name.removesuffix("_ns"): fields[name] for name in _STAT_FIELDS}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *_sorted(os.listdir, self._at(path))]

    def create(self, path: str, mode: int, fi: object = None) -> int:
        return _sorted(os.open, self._at(path), os.O_RDWR | os.O_CREAT, mode)

    def open(self, path: str, flags: int) -> int:
        return _sorted(os.open, self._at(path), flags & (os.O_RDWR | os.O_WRONLY))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        _sorted(os.truncate, self._at(path), length)

    def release(self, path: str, fh: int) -> None:
        os.close(fh)

    def unlink(self, path: str) -> None:
        _sorted(os.unlink, self._at(path))

    def rmdir(self, path: str) -> None:
        _sorted(os.rmdir, self._at(path))

    def mkdir(self, path: str, mode: int) -> None:
        _sorted(os.mkdir, self._at(path), mode)

    def rename(self, old: str, new: str) -> None:
        _sorted(os.rename, self._at(old), self._at(new))

    def chmod(self, path: str, mode: int) -> None:
        _sorted(os.chmod, self._at(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        _sorted(os.lchown, self._at(path), uid, gid)

    def utimens(self, path: str, times: Any = None) -> None:
        _sorted(lambda at: os.utime(at, ns=times), self._at(path))

    def symlink(self, target: str, source: str) -> None:
        _sorted(os.symlink, source, self._at(target))

    def readlink(self, path: str) -> str:
        return str(_sorted(os.readlink, self._at(path)))


def _sorted(do: Callable[..., Any], *args: Any) -> Any:
    try:
        return do(*args)
    except OSError as err:
        raise _fuse().FuseOSError(err.errno) from err


def _fuse() -> Any:
    return importlib.import_module("fuse")


if __name__ == "__main__":
    fuse = _fuse()
    view = type("View", (_View, fuse.Operations), {})(sys.argv[1])
    fuse.FUSE(view, sys.argv[2], foreground=True, nothreads=True, use_ino=True)
