"""Look whether a tool did its work, so that none wins by leaving some out."""

import os
import random
import stat
from pathlib import Path

SAMPLES = 200
BLOCK_BYTES = 1 << 20


def demand_equal(
    source: Path, target: Path, tool: str, *, attributes: bool = True
) -> None:
    """Raise RuntimeError unless `target` has all names and sampled files are equal."""
    there = names(source)
    demand_names(there, names(target), tool)
    for name in samples(there):
        if attributes:
            _demand_attributes(source / name, target / name, tool)
        _demand_equal_file(source / name, target / name, tool)


def demand_names(there: set[str], here: set[str], tool: str) -> None:
    """Raise RuntimeError unless the names at the target are those at the source."""
    if there != here:
        missing, surplus = sorted(there - here), sorted(here - there)
        raise RuntimeError(
            f"{tool} left {len(missing):,} of {len(there):,} entries uncopied and "
            f"{len(surplus):,} too many, such as {(missing + surplus)[0]!r}"
        )


def samples(there: set[str]) -> list[str]:
    """Return the files that are compared, the same ones for every tool."""
    files = sorted(name for name in there if not name.endswith("/"))
    chooser = random.Random(len(files))  # noqa: S311
    return chooser.sample(files, min(SAMPLES, len(files)))


def names(root: Path) -> set[str]:
    """Return every path below `root`; those of directories end with a slash."""
    found: set[str] = set()
    for directory, subdirectories, files in os.walk(root):
        below = os.path.relpath(directory, root)
        below = "" if below == "." else f"{below}/"
        found.update(f"{below}{name}/" for name in subdirectories)
        found.update(f"{below}{name}" for name in files)
    return found


def _demand_attributes(source: Path, target: Path, tool: str) -> None:
    there, here = source.lstat(), target.lstat()
    if _kept(there) != _kept(here):
        raise RuntimeError(f"{tool}: {target}: {_kept(here)} is not {_kept(there)}")


def _demand_equal_file(source: Path, target: Path, tool: str) -> None:
    there, here = source.lstat().st_size, target.lstat().st_size
    if there != here:
        raise RuntimeError(f"{tool}: {target} has {here:,} bytes of {there:,}")
    with source.open("rb") as left, target.open("rb") as right:
        for offset in offsets(there):
            left.seek(offset)
            right.seek(offset)
            if left.read(BLOCK_BYTES) != right.read(BLOCK_BYTES):
                raise RuntimeError(f"{tool}: {target} differs behind byte {offset:,}")


def _kept(status: os.stat_result) -> tuple[int, ...]:
    mode = stat.S_IMODE(status.st_mode)
    return status.st_size, mode, status.st_uid, status.st_gid, status.st_mtime_ns


def offsets(size_bytes: int) -> list[int]:
    """Return where to read: the beginning, the end, and sixty places between."""
    step = max(size_bytes // 60, BLOCK_BYTES)
    return [*range(0, size_bytes, step), max(0, size_bytes - BLOCK_BYTES)]
