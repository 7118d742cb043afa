"""Keep a span of a bucket's listing within its bounds, and check its order."""

from bisect import bisect_left
from dataclasses import replace
from operator import lt

from haulage.paths import shown
from haulage.storage.buckets.keys.paths import Rows, key_of
from haulage.storage.buckets.keys.server_pages import DisorderError, key_before
from haulage.storage.buckets.protocol import Keys
from haulage.storage.tree.listing.walk import Span


class Bounds:
    """The bounds of a span, and the last path seen in it.

    Others list everything up to `behind`, and the directories above it.
    """

    def __init__(self, prefix: str, span: Span) -> None:
        """Set the bounds of a span below a store's prefix."""
        self._prefix = prefix
        self.end = span.end
        starts = [path for path in (span.start, span.after) if path is not None]
        self._low = max(starts, default=None)
        self._with_low = self._low is not None and self._low != span.after
        self._low_key = None if self._low is None else key_of(self._low, prefix)
        self.last: bytes | None = None

    @property
    def ask_after(self) -> str | None:
        """Return the key after which the server is asked."""
        if self._low_key is None or not self._with_low:
            return self._low_key
        return key_before(self._low_key)

    @property
    def behind(self) -> bytes | None:
        """Return the path up to which other parts of the listing have everything."""
        if self._low is None or not self._with_low:
            return self._low
        return self._low[: self._low.rfind(b"/", 0, len(self._low) - 1) + 1]

    def is_enough(self, key: str) -> bool:
        """Tell whether a key is at the end or after it."""
        return self.end is not None and key >= key_of(self.end, self._prefix)

    def from_low(self, keys: Keys) -> Keys:
        """Leave out the first keys that come before the span."""
        first = 0
        while first < len(keys.keys) and self._is_before(keys.keys[first]):
            first += 1
        if not first:
            return keys
        return replace(
            keys,
            keys=keys.keys[first:],
            sizes=keys.sizes[first:],
            etags=keys.etags[first:],
            modified_ns=keys.modified_ns[first:],
        )

    def _is_before(self, key: str) -> bool:
        if self._low_key is None:
            return False
        return key < self._low_key or (key == self._low_key and not self._with_low)

    def take(self, rows: Rows) -> Rows:
        """Return the rows before the end; DisorderError unless all are ascending."""
        paths = rows.paths
        if not paths:
            return rows
        if not (self._may_follow(paths[0]) and all(map(lt, paths, paths[1:]))):
            raise DisorderError(self._disorder(paths))
        self.last = paths[-1]
        if self.end is None or paths[-1] < self.end:
            return rows
        return rows.between(0, bisect_left(paths, self.end))

    def behind_low(self, rows: Rows) -> Rows:
        """Return the rows after `after` of a listing that is sorted here."""
        if self._low is None or not rows.paths or rows.paths[0] > self._low:
            return rows
        first = bisect_left(rows.paths, self._low + b"\0")
        return rows.between(first, len(rows.paths))

    def _may_follow(self, path: bytes) -> bool:
        if self.last is not None:
            return path > self.last
        if self._low is None:
            return True
        return path > self._low or (path == self._low and self._with_low)

    def _disorder(self, paths: list[bytes]) -> str:
        before = self.last if self.last is not None else (self._low or b"")
        for path in paths:
            if path < before:
                return f"the server lists {shown(path)} after {shown(before)}"
            before = path
        return f"the server lists a key twice, near {shown(paths[0])}"
