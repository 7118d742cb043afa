"""File systems of a test's own: images on loop devices, and memory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import pytest


class FileSystem(StrEnum):
    """A kind of file system that trees live on."""

    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    TMPFS = "tmpfs"


_MAKE = {
    FileSystem.EXT4: ("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard"),
    FileSystem.XFS: ("mkfs.xfs", "-q", "-K"),
    FileSystem.BTRFS: ("mkfs.btrfs", "-q", "-K"),
}
_SIZE = 512 << 20  # of an image, which is sparse; XFS takes no less than 300 MiB


@contextmanager
def mounted(
    kind: FileSystem, home: Path, *options: str, size: int = _SIZE
) -> Iterator[Path]:
    """Make a file system below `home`, with more options of its mkfs, and mount it."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    image, mount = home / f"{kind}.image", home / kind
    mount.mkdir(parents=True)
    try:
        for command in _commands(kind, image, mount, options, size):
            subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as err:
        told = getattr(err, "stderr", b"").decode(errors="replace").strip()
        pytest.skip(f"no {kind} can be mounted here: {err} {told}")
    try:
        yield _emptied(mount)
    finally:  # even while a process that failed to end is in it
        subprocess.run(["umount", "--lazy", str(mount)], check=True)
        image.unlink(missing_ok=True)


def _commands(
    kind: FileSystem, image: Path, mount: Path, options: tuple[str, ...], size: int
) -> Iterator[list[str]]:
    if kind is FileSystem.TMPFS:
        yield ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)]
        return
    image.touch()
    os.truncate(image, size)
    path = f"{os.environ['PATH']}:/usr/sbin"
    yield ["env", f"PATH={path}", *_MAKE[kind], *options, str(image)]
    yield ["mount", "-o", "loop", str(image), str(mount)]


def _emptied(mount: Path) -> Path:
    """Take away what ext4 puts into each of its file systems."""
    if (mount / "lost+found").exists():
        (mount / "lost+found").rmdir()
    return mount
