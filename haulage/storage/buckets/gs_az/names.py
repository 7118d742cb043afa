"""Names of objects in Google's and Azure's buckets, where obstore forbids some keys.

obstore takes no name with an empty, `.` or `..` segment or a control character, and
drops a trailing slash. Therefore the object that stands for the directory `a/` is named
`a/!haulage`, which sorts before nearly everything else in `a/`.
"""

import re

from haulage.errors import PermanentError
from haulage.storage.buckets.keys.paths import LAST_CHAR

MARKER = "!haulage"
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NOT_SEGMENTS = frozenset({"", ".", ".."})


def name_of(key: str) -> str:
    """Return the name of the object for `key`; PermanentError if it can have none."""
    if key.endswith("/"):
        stem = key[:-1]
    elif key.rpartition("/")[2] == MARKER:
        raise PermanentError(
            f"{key!a}: objects named {MARKER} stand for directories; rename it"
        )
    else:
        stem = key
    if _CONTROL.search(stem) or not _NOT_SEGMENTS.isdisjoint(stem.split("/")):
        raise PermanentError(
            f"{key!a}: gs:// and az:// take no empty, '.' or '..' segment and no "
            f"control character in a key; rename it"
        )
    return f"{key}{MARKER}" if key.endswith("/") else key


def key_of_name(name: str) -> str:
    """Return the key whose object has this name."""
    stem, slash, last = name.rpartition("/")
    return stem + slash if slash and last == MARKER else name


def just_below(key: str) -> str | None:
    """Return a name that obstore takes, at or slightly below `key`; None for the start.

    A listing after it misses nothing that comes after `key`.
    """
    control = _CONTROL.search(key)
    segments = key[: control.start() if control else None].split("/")
    for at, segment in enumerate(segments):
        if segment in _NOT_SEGMENTS:
            above = "/".join(segments[:at])
            return f"{above}.{LAST_CHAR}" if above else None  # '.' is before '/'
    return "/".join(segments)


def behind_all(prefix: str) -> str:
    """Return a name after all that begin with `prefix`."""
    return prefix + 2 * LAST_CHAR
