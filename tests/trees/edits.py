"""Change single files and directories, as root or as their owner."""

import os
import random
import shutil
import stat

from tests.trees.walk import below, opened


def write_new(full: bytes, content: bytes) -> None:
    """Make a file that must not be there yet."""
    with open(full, "xb") as file:
        file.write(content)


def make_dir(full: bytes, rng: random.Random, entries: int) -> None:
    """Make a directory with `entries` entries, every sixth one a directory."""
    os.mkdir(full)
    home = full
    for number in range(entries):
        path = os.path.join(home, b"entry-%03d" % number)
        if number % 6 == 5:
            os.mkdir(path)
            home = path
        else:
            write_new(path, rng.randbytes(rng.randint(0, 5000)))


def read(full: bytes) -> bytes:
    """Return the content of a file."""
    with open(full, "rb") as file:
        return file.read()


def overwrite(full: bytes, content: bytes) -> None:
    """Give a file other content in its place: the inode stays."""
    mode = stat.S_IMODE(os.lstat(full).st_mode)
    os.chmod(full, mode | 0o200)  # its owner may not be allowed to write
    with open(full, "r+b") as file:
        file.write(content)
        file.truncate()
    os.chmod(full, mode)


def replace(full: bytes, content: bytes) -> None:
    """Give a file other content as editors do: another file takes its name."""
    old = os.lstat(full)
    aside = os.path.join(os.path.dirname(full), b"aside")
    write_new(aside, content)
    os.chown(aside, old.st_uid, old.st_gid)
    os.chmod(aside, stat.S_IMODE(old.st_mode))
    os.rename(aside, full)


def set_xattr(full: bytes, name: str, value: bytes) -> None:
    """Give an entry an attribute, also where its owner may not write."""
    mode = stat.S_IMODE(os.lstat(full).st_mode)
    os.chmod(full, mode | 0o200)
    os.setxattr(full, name, value)
    os.chmod(full, mode)


def resized(content: bytes, rng: random.Random) -> bytes:
    """Return content of another length: cut, or with something at its end."""
    if content and rng.random() < 0.5:
        return content[: rng.randrange(len(content))]
    return content + rng.randbytes(rng.randint(1, 3000))


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Return content of the same length with one other byte."""
    at = rng.randrange(len(content))
    return b"%s%c%s" % (
        content[:at],
        content[at] ^ rng.randint(1, 255),
        content[at + 1 :],
    )


def remove(full: bytes) -> int:
    """Remove an entry and all below it, even where its owner may not write; return how
    many entries that were."""
    if not stat.S_ISDIR(os.lstat(full).st_mode):
        os.unlink(full)
        return 1
    os.chmod(full, 0o700)
    removed = 1
    with opened(full) as fd:
        for path, info in below(fd):
            removed += 1
            if stat.S_ISDIR(info.st_mode):
                os.chmod(path, 0o700, dir_fd=fd)
    shutil.rmtree(full)
    return removed


def move(full: bytes, to: bytes) -> None:
    """Rename an entry; a directory even where its owner may not write, because its
    `..` changes too."""
    info = os.lstat(full)
    if not stat.S_ISDIR(info.st_mode):
        os.rename(full, to)
        return
    os.chmod(full, stat.S_IMODE(info.st_mode) | 0o200)
    os.rename(full, to)
    os.chmod(to, stat.S_IMODE(info.st_mode))
