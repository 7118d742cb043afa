"""Find where to cut the rest of a key range in two, for another lister."""

from dataclasses import dataclass

from haulage.storage.buckets.keys.paths import (
    LAST_CHAR,
    is_plain,
    key_of,
    path_of,
    why_no_names,
)
from haulage.storage.buckets.protocol import Lists

_LEVELS = 12  # of directories that are looked at from the root down
_ALPHABETS = (*b"/:[{\x7f", 0xA000, 0x110000)  # the ends of digits, of capitals, ...


@dataclass(frozen=True, slots=True)
class Rest:
    """The rest of a span: the keys of a store after `behind` and before `end`."""

    bucket: Lists
    prefix: str
    behind: bytes
    end: bytes | None

    def holds(self, path: bytes) -> bool:
        """Tell whether the rest can be cut at `path`, whose directories then exist."""
        return (
            path > self.behind
            and not self.behind.startswith(path)
            and (self.end is None or path < self.end)
            and why_no_names(path) is None
            and is_plain(path)
        )


def find_cut(rest: Rest) -> bytes | None:
    """Return a path in the rest with about as much on either side, or None.

    It is one of the highest directories that has several left, or a key found by
    halving.
    """
    for top in _levels(rest.behind):
        page = rest.bucket.page(
            key_of(top, rest.prefix),
            after=key_of(rest.behind, rest.prefix),
            delimiter="/",
        )
        dirs = sorted(path_of(prefix, rest.prefix) for prefix in page.prefixes)
        if page.is_last:
            fit = [path for path in dirs if rest.holds(path)]
            if fit:
                return fit[len(fit) // 2]
            continue
        names = [*dirs, *(path_of(key, rest.prefix) for key in page.keys)]
        seen = max(names, default=rest.behind)
        return _Halving(rest, top, seen).cut()
    return None


def _levels(path: bytes) -> list[bytes]:
    """Return the directories above `path`, the root first."""
    cuts = [at for at, byte in enumerate(path) if byte == 0x2F]
    return [b"", *(path[: at + 1] for at in cuts)][:_LEVELS]


class _Halving:
    """Looks for a key in the middle of one directory with very many names."""

    def __init__(self, rest: Rest, top: bytes, seen: bytes) -> None:
        """`seen` is a path in `top` that is less than a page of names ahead."""
        self._rest = rest
        self._base = key_of(top, rest.prefix)
        self._seen = key_of(seen, rest.prefix)[len(self._base) :]

    def cut(self) -> bytes | None:
        """Return the path of a key near the middle of the names after `seen`.

        Halves the characters at the first place where these names differ from it.
        """
        at, spare = self._first_difference()
        if spare is None:
            return None
        same, low = self._seen[: at - 1], ord(self._seen[at - 1])
        high = next(end for end in _ALPHABETS if low < end)
        while high - low > 1:
            middle = (low + high) // 2
            found = self._probe(same + _char(middle))
            if found is None:
                high = middle
            elif self._fits(found):
                return self._path(found)
            else:
                low = middle
        return self._path(spare) if self._fits(spare) else None

    def _first_difference(self) -> tuple[int, str | None]:
        """Return how much of `seen` is too long to begin all names after it.

        And the first name that does not begin so; none if there is nothing after it.
        """
        low, high, spare = 1, len(self._seen), self._probe(self._seen + LAST_CHAR)
        while low < high and spare is not None:
            middle = (low + high) // 2
            found = self._probe(self._seen[:middle] + LAST_CHAR)
            if found is None:
                low = middle + 1
            else:
                high, spare = middle, found
        return high, spare

    def _probe(self, name: str) -> str | None:
        """Return the first key after `name` in the rest, below the directory."""
        page = self._rest.bucket.page(self._base, after=self._base + name, limit=1)
        if not page.keys:
            return None
        found = page.keys[0][len(self._base) :]
        end = self._rest.end
        is_out = end is not None and self._path(found) >= end
        return None if is_out or found <= name else found

    def _path(self, name: str) -> bytes:
        return path_of(self._base + name, self._rest.prefix)

    def _fits(self, name: str) -> bool:
        return self._rest.holds(self._path(name))


def _char(code: int) -> str:
    """Return the character, or the one before the surrogates."""
    return chr(0xD7FF if 0xD800 <= code < 0xE000 else code)
