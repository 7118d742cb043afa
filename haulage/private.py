"""Files and directories for this user alone, because they name private entries.

The umask has no effect here: it is for files that people share.
"""

import os
from pathlib import Path


def make_directory(path: Path) -> None:
    """Create a directory and its missing parents, each for this user alone."""
    if not path.parent.exists():
        make_directory(path.parent)
    path.mkdir(0o700, exist_ok=True)


def make_file(path: Path) -> None:
    """Create an empty file for this user alone, unless it exists."""
    path.touch(0o600)


def tighten(*paths: Path) -> None:
    """Withdraw from others what an earlier version let them read."""
    for path in paths:
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.chmod(found.st_mode & 0o700)
