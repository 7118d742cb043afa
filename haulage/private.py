"""What is for this user's eyes alone: it names what lies in private directories.

The umask plays no part: it is for what people share.
"""

import os
from pathlib import Path


def make_directory(path: Path) -> None:
    """Make a directory and those above it, each that is missing for this user alone."""
    if not path.parent.exists():
        make_directory(path.parent)
    path.mkdir(0o700, exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file for this user alone, unless there is one."""
    path.touch(0o600)


def tighten(*paths: Path) -> None:
    """Take from others what an earlier version let them read, where it is ours."""
    for path in paths:
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.chmod(found.st_mode & 0o700)
