"""How paths are written as keys of a bucket, and which of them cannot be.

A path in UTF-8 is its own key, after the store's prefix. A byte that is not UTF-8 is
written as the private-use character U+F700 + byte (U+F780 to U+F7FF); a path whose own
text has such characters has each of their bytes written that way. So each path has one
key, and a key that no path is written as is refused.
"""

import re
from typing import NamedTuple

import numpy as np

from haulage.errors import FatalError
from haulage.storage.buckets.protocol import Keys

MOST_KEY_BYTES = 1024  # of UTF-8, in every cloud's store
LAST_CHAR = "\U0010ffff"
FIRST_PRIVATE = "\uf780"
_MOST_NAME_BYTES = 255  # of every file system that matters
_PRIVATE = re.compile("[\uf780-\uf7ff]")
_TO_PRIVATE = re.compile("[\udc80-\udcff\uf780-\uf7ff]")  # the first are Python's own
_PRIVATE_BASE, _ESCAPE_BASE = 0xF700, 0xDC00


def key_of(path: bytes, prefix: str) -> str:
    """Return the key of `path` in the store below `prefix`."""
    text = path.decode("utf-8", "surrogateescape")
    return prefix + (text if text.isascii() else _TO_PRIVATE.sub(_privately, text))


def _privately(match: re.Match[str]) -> str:
    raw = match[0].encode("utf-8", "surrogateescape")
    return "".join(chr(_PRIVATE_BASE + byte) for byte in raw)


def path_of(key: str, prefix: str) -> bytes:
    """Return the path that `key_of` writes as `key`."""
    text = _PRIVATE.sub(
        lambda match: chr(ord(match[0]) - _PRIVATE_BASE + _ESCAPE_BASE),
        key[len(prefix) :],
    )
    return text.encode("utf-8", "surrogateescape")


def is_plain(path: bytes) -> bool:
    """Tell whether the path is its own key, byte by byte, so that both sort alike."""
    return key_of(path, "").encode() == path


def why_no_key(path: bytes, prefix: str) -> str | None:
    """Return why an entry cannot be in a bucket, or None if it can."""
    key_bytes = len(key_of(path, prefix).encode())
    if key_bytes > MOST_KEY_BYTES:
        return (
            f"its key would have {key_bytes} bytes; a bucket allows at most "
            f"{MOST_KEY_BYTES}; shorten its path or the store's prefix"
        )
    if not key_bytes:
        return (
            "the root of a whole bucket is not an object, so it has no attributes there"
        )
    return None


def why_no_path(key: str, prefix: str) -> str | None:
    """Return why a directory cannot hold what `key` names, or None if it can."""
    return why_misspelt(key, prefix) or why_no_names(path_of(key, prefix))


def why_misspelt(key: str, prefix: str) -> str | None:
    """Return why no path is written as `key`, or None if one is."""
    if key_of(path_of(key, prefix), prefix) == key:
        return None
    return (
        "its key has private characters (U+F780 to U+F7FF) that Haulage writes for "
        "other bytes, so it would come back under another name; rename the object"
    )


def why_no_names(path: bytes) -> str | None:
    """Return why the names of a path cannot be names of files, or None."""
    names = (path[:-1] if path.endswith(b"/") else path).split(b"/") if path else []
    if b"" in names:
        return "its key has an empty segment ('//' or '/' in front); rename the object"
    if b"." in names or b".." in names:
        return "its key has '.' or '..' as a segment; rename the object"
    if b"\0" in path:
        return "its key has a NUL, which no file name has; rename the object"
    longest = max(map(len, names), default=0)
    if longest > _MOST_NAME_BYTES:
        return (
            f"its key has a segment of {longest} bytes; a file name has at most "
            f"{_MOST_NAME_BYTES}; rename the object"
        )
    return None


_SUSPECT = (
    b"//", b"\n/", b"/./", b"/../", b"\n./", b"\n../", b"/.\n", b"/..\n", b"\n.\n",
    b"\n..\n", b"\0",
)  # fmt: skip


def may_have_bad_names(paths: list[bytes]) -> bool:
    """Tell at little cost whether any of the paths needs a check of its own."""
    if max(map(len, paths), default=0) > _MOST_NAME_BYTES:
        return True
    text = b"\n".join([b"", *paths, b""])
    return any(suspect in text for suspect in _SUSPECT)


class Rows(NamedTuple):
    """Objects by their paths, column by column, in the order of their page."""

    paths: list[bytes]
    sizes: np.ndarray  # int64
    etags: list[bytes | None]
    modified_ns: np.ndarray  # int64

    def pick(self, kept: list[int]) -> "Rows":
        """Return some of the rows."""
        return Rows(
            [self.paths[row] for row in kept],
            self.sizes[kept],
            [self.etags[row] for row in kept],
            self.modified_ns[kept],
        )

    def between(self, first: int, end: int) -> "Rows":
        """Return the rows from `first` up to `end`."""
        return Rows(
            self.paths[first:end],
            self.sizes[first:end],
            self.etags[first:end],
            self.modified_ns[first:end],
        )


def rows_of(keys: Keys, prefix: str) -> tuple[Rows, list[tuple[bytes, str]]]:
    """Return a page's objects by their paths, and those without one with reasons."""
    for key in keys.keys:
        if not key.startswith(prefix):
            raise FatalError(
                f"the server listed {key!a} where keys below {prefix!a} were asked "
                f"for; it cannot be listed safely"
            )
    text = "\0".join(keys.keys)
    private = not text.isascii() and _PRIVATE.search(text) is not None
    rows = Rows(
        _paths(keys, prefix, text, private),
        keys.sizes,
        list(keys.etags),
        keys.modified_ns,
    )
    return _without_misspelt(keys, rows, prefix) if private else (rows, [])


def _paths(keys: Keys, prefix: str, text: str, private: bool) -> list[bytes]:  # noqa: FBT001
    raw = text.encode().split(b"\0")
    if private or len(raw) != len(keys.keys):
        return [path_of(key, prefix) for key in keys.keys]
    cut = len(prefix.encode())
    return [key[cut:] for key in raw]


def _without_misspelt(
    keys: Keys, rows: Rows, prefix: str
) -> tuple[Rows, list[tuple[bytes, str]]]:
    kept, refused = [], []
    for row, key in enumerate(keys.keys):
        reason = why_misspelt(key, prefix)
        if reason:
            refused.append((key[len(prefix) :].encode(), reason))
        else:
            kept.append(row)
    return (rows.pick(kept) if refused else rows), refused
