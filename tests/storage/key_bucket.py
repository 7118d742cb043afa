"""A bucket in memory that lists as Amazon's does, for the logic of order and spans."""

import threading
from bisect import bisect_left, bisect_right

import numpy as np

from haulage.storage.buckets.protocol import Keys


class KeyBucket:
    """Holds sorted keys with sizes; `most` is the most that one page has.

    `server_order` is the order in which it lists, for servers that keep another.
    """

    def __init__(self, sizes: dict[str, int] | list[str], *, most=1000, order=None):
        self.sizes = dict.fromkeys(sizes, 1) if isinstance(sizes, list) else dict(sizes)
        for key in self.sizes:
            if key.endswith("/") and isinstance(sizes, list):
                self.sizes[key] = 0
        self.keys = sorted(self.sizes) if order is None else list(order)
        self.is_sorted = order is None
        self.most = most
        self.requests = 0
        self.probes = 0
        self._lock = threading.Lock()

    def page(self, prefix, *, after=None, delimiter=None, limit=1000, token=None):
        with self._lock:
            self.requests += 1
            self.probes += limit == 1
        limit = min(limit, self.most)
        start = 0 if token is None else int(token)
        if token is None and self.is_sorted:
            start = bisect_left(self.keys, prefix)
            start = (
                start if after is None else max(start, bisect_right(self.keys, after))
            )
        return self._collect(prefix, after, delimiter, limit, start)

    def _collect(self, prefix, after, delimiter, limit, start):
        keys: list[str] = []
        prefixes: list[str] = []
        at = start
        while at < len(self.keys):
            key = self.keys[at]
            if not key.startswith(prefix) or (after is not None and key <= after):
                if self.is_sorted and key > prefix and not key.startswith(prefix):
                    break
                at += 1
                continue
            rest = key[len(prefix) :]
            rolled = delimiter is not None and delimiter in rest
            if rolled:
                common = prefix + rest[: rest.index(delimiter) + 1]
                if common in prefixes:
                    at += 1
                    continue
            if len(keys) + len(prefixes) == limit:
                return self._keys(keys, prefixes, at)
            if rolled:
                prefixes.append(common)
            else:
                keys.append(key)
            at += 1
        return self._keys(keys, prefixes, None)

    def _keys(self, keys, prefixes, next_at):
        return Keys(
            keys,
            np.array([self.sizes[key] for key in keys], np.int64),
            [b"e-" + key.encode() for key in keys],
            np.full(len(keys), 1_500_000_000_123_456_789, np.int64),
            prefixes,
            next_at is None,
            None if next_at is None else str(next_at),
        )
