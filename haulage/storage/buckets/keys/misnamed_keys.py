"""Find keys under which a server lists objects that have other keys.

Such an object cannot be read by that name; and where it stands in the order, other keys
may be taken to be beyond a bound that they are before.
"""

from dataclasses import replace

import numpy as np

from haulage.storage.buckets.keys.paths import path_of
from haulage.storage.buckets.protocol import Keys, Lists

Refused = list[tuple[bytes, str]]
REPLACED = (
    "the server lists this key but has no object of that name: it replaces "
    "characters that it cannot list, such as control characters, by U+FFFD. The "
    "object is not copied; rename it, or have the server support encoding-type=url"
)
TWICE = (
    "the server lists this key more than once, so it stands for several objects that "
    "cannot be told apart; rename them"
)
_REPLACEMENT = "\ufffd"


def lies_in(bucket: Lists, keys: Keys) -> list[str]:
    """Return the keys of a page that no object has."""
    if not keys.replaced:
        return []
    return [
        key for key in keys.keys if _REPLACEMENT in key and not _is_there(bucket, key)
    ]


def _is_there(bucket: Lists, key: str) -> bool:
    """Tell whether a key comes first among those that begin with it, as it must."""
    return list(bucket.page(key, limit=1).keys[:1]) == [key]


def without_lies(bucket: Lists, keys: Keys, prefix: str) -> tuple[Keys, Refused]:
    """Return a page without the keys that no object has, and these."""
    lies = frozenset(lies_in(bucket, keys))
    if not lies:
        return keys, []
    kept = [row for row, key in enumerate(keys.keys) if key not in lies]
    rows = np.array(kept, np.int64)
    page = replace(
        keys,
        keys=[keys.keys[row] for row in kept],
        sizes=keys.sizes[rows],
        etags=[keys.etags[row] for row in kept],
        modified_ns=keys.modified_ns[rows],
    )
    return page, [(path_of(key, prefix), REPLACED) for key in sorted(lies)]
