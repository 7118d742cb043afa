"""Make the trees that are moved, the same ones every time."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

SEED = 20_111
OLD_S = 1_700_000_000  # an mtime that no tool takes for recent
RESERVE_BYTES = 2 << 30
FILES_A_DIRECTORY = 100


def make_tree(root: Path, files: int, size_bytes: int) -> None:
    """Make `files` files of `size_bytes`, a hundred a directory, two levels deep."""
    pool = np.random.default_rng(SEED).bytes(size_bytes + 100_000)
    for number in range(0, files, FILES_A_DIRECTORY):
        directory = root / f"{number // 10_000:03}" / f"{number // 100 % 100:02}"
        directory.mkdir(parents=True)
        for index in range(number, min(number + FILES_A_DIRECTORY, files)):
            start = index % 100_000
            _make_file(directory / f"file{index:07}", pool[start : start + size_bytes])
    _age_directories(root)


def make_large_file(root: Path, size_bytes: int) -> None:
    """Make one file of random blocks, each with its offset in front."""
    root.mkdir(parents=True)
    block = np.random.default_rng(SEED).bytes(4 << 20)
    with (root / "large").open("wb") as file:
        for offset in range(0, size_bytes, len(block)):
            content = offset.to_bytes(8, "big") + block[8:]
            file.write(content[: size_bytes - offset])
    os.utime(root / "large", (OLD_S, OLD_S))


def _make_file(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
    os.utime(path, (OLD_S, OLD_S))


def _age_directories(root: Path) -> None:
    for directory, _, _ in os.walk(root, topdown=False):
        os.utime(directory, (OLD_S, OLD_S))


@contextmanager
def place_for(size_bytes: int) -> Iterator[Path]:
    """Give a directory with room for source and target, in memory if it holds them."""
    need = 2 * size_bytes + RESERVE_BYTES
    base = "/dev/shm" if _memory_holds(need) else tempfile.gettempdir()  # noqa: S108
    if shutil.disk_usage(base).free < need:
        raise SystemExit(f"{base} has less than {need >> 20:,} MiB free")
    place = tempfile.mkdtemp(prefix="haulage-bench-", dir=base)
    try:
        yield Path(place)
    finally:
        shutil.rmtree(place)


def _memory_holds(need_bytes: int) -> bool:
    try:
        free = shutil.disk_usage("/dev/shm").free  # noqa: S108
    except FileNotFoundError:
        return False
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    available = int(lines["MemAvailable"].split()[0]) << 10
    return min(free, available) > need_bytes
