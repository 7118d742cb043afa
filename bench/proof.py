"""Look whether a tool did its work, so that none wins by leaving some out."""

import os
import random
import stat
from pathlib import Path

SAMPLES = 200
BLOCK_BYTES = 1 << 20


def demand_equal(source: Path, target: Path, tool: str) -> None:
    """Raise RuntimeError unless `target` has all names and sampled files are equal."""
    there, here = _names(source), _names(target)
    if there != here:
        missing, surplus = sorted(there - here), sorted(here - there)
        raise RuntimeError(
            f"{tool} left {len(missing):,} of {len(there):,} entries uncopied and "
            f"{len(surplus):,} too many, such as {(missing + surplus)[0]!r}"
        )
    files = sorted(name for name in there if not name.endswith("/"))
    chooser = random.Random(len(files))  # noqa: S311
    for name in chooser.sample(files, min(SAMPLES, len(files))):
        _demand_equal_file(source / name, target / name, tool)


def _names(root: Path) -> set[str]:
    names: set[str] = set()
    for directory, subdirectories, files in os.walk(root):
        below = os.path.relpath(directory, root)
        names.update(f"{below}/{name}/" for name in subdirectories)
        names.update(f"{below}/{name}" for name in files)
    return names


def _demand_equal_file(source: Path, target: Path, tool: str) -> None:
    there, here = source.lstat(), target.lstat()
    if _kept(there) != _kept(here):
        raise RuntimeError(f"{tool}: {target}: {_kept(here)} is not {_kept(there)}")
    with source.open("rb") as left, target.open("rb") as right:
        for offset in _offsets(there.st_size):
            left.seek(offset)
            right.seek(offset)
            if left.read(BLOCK_BYTES) != right.read(BLOCK_BYTES):
                raise RuntimeError(f"{tool}: {target} differs behind byte {offset:,}")


def _kept(status: os.stat_result) -> tuple[int, ...]:
    mode = stat.S_IMODE(status.st_mode)
    return status.st_size, mode, status.st_uid, status.st_gid, status.st_mtime_ns


def _offsets(size_bytes: int) -> list[int]:
    """Return where to read: the beginning, the end, and sixty places between."""
    step = max(size_bytes // 60, BLOCK_BYTES)
    return [*range(0, size_bytes, step), max(0, size_bytes - BLOCK_BYTES)]
