"""What is compared, and the bars that Haulage sets itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import data, peers
from bench.peers import Tool

TMPFS_BYTES_A_FILE = 6 << 10  # a page of content and the inode


@dataclass(frozen=True, slots=True)
class Bar:
    """`ours` takes at most `limit` times what `peer` takes, in time or in CPU time."""

    ours: Tool
    peer: Tool
    limit: float
    of_cpu: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of work, the tools that do it, and how they are to compare."""

    title: str
    size_bytes: int
    make: Callable[[Path], None]
    tools: list[Tool]
    bars: list[Bar]
    unchanged: bool = False  # the target is already equal when the tools begin


def small(files: int) -> Row:
    """Return the row of many small files, directory to directory."""
    tuned = peers.fpsync_tuned(files)
    unproven, proven = peers.HAULAGE_UNPROVEN, peers.HAULAGE
    return Row(
        f"{files:,} files of 4 KiB in {files // data.FILES_A_DIRECTORY:,} directories",
        files * TMPFS_BYTES_A_FILE,
        partial(data.make_tree, files=files, size_bytes=4096),
        [
            peers.CP,
            peers.RSYNC,
            peers.RCLONE_UNPROVEN,
            peers.RCLONE,
            peers.FPSYNC,
            tuned,
            unproven,
            proven,
        ],
        [
            Bar(unproven, peers.RSYNC, 0.5),
            Bar(unproven, peers.RCLONE_UNPROVEN, 0.3),
            Bar(proven, peers.RCLONE, 0.3),
            Bar(unproven, peers.FPSYNC, 0.2),
            Bar(unproven, peers.CP, 0.85),
        ],
    )


def nochange(entries: int) -> Row:
    """Return the row of a tree in which nothing changed since the last run."""
    ours = peers.HAULAGE
    return Row(
        f"No change among {entries:,} files",
        entries * TMPFS_BYTES_A_FILE,
        partial(data.make_tree, files=entries, size_bytes=16),
        [
            peers.FIND,
            peers.RSYNC_DRY,
            peers.RSYNC,
            peers.RCLONE_DRY,
            peers.RCLONE_SYNC,
            peers.fpsync_tuned(entries),
            ours,
        ],
        [
            Bar(ours, peers.RSYNC_DRY, 0.5),
            Bar(ours, peers.RCLONE_DRY, 0.15),
            Bar(ours, peers.RCLONE_SYNC, 0.15),
            Bar(ours, peers.FIND, 3, of_cpu=True),
        ],
        unchanged=True,
    )


def large(size_bytes: int) -> Row:
    """Return the row of one large file."""
    unproven, proven = peers.HAULAGE_UNPROVEN, peers.HAULAGE
    return Row(
        f"One file of {size_bytes >> 20:,} MiB",
        size_bytes,
        partial(data.make_large_file, size_bytes=size_bytes),
        [
            peers.CP,
            peers.RSYNC,
            peers.RCLONE_UNPROVEN,
            peers.RCLONE,
            unproven,
            proven,
        ],
        [Bar(unproven, peers.CP, 1)],
    )


def start() -> Row:
    """Return the row of what passes before any work: a sync of one small file."""
    return Row(
        "Start-up: a sync of one file of 4 KiB, with a new catalog",
        TMPFS_BYTES_A_FILE,
        partial(data.make_tree, files=1, size_bytes=4096),
        [
            peers.PYTHON,
            peers.PREFECT,
            peers.CP,
            peers.RSYNC,
            peers.RCLONE,
            peers.HAULAGE_HELP,
            peers.HAULAGE,
        ],
        [],
    )
