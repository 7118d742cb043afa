"""Look up names in a manifest, with one or two of its pages in memory."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.manifests.reader import Manifest

_PAGES_HELD = 2  # `d/` is in the page of `d`, or in the next one


class KnownNames:
    """Looks up names in a manifest, and reads only the pages needed."""

    def __init__(self, manifest: Manifest) -> None:
        """Read only where the pages begin."""
        self._manifest = manifest
        self._firsts = [ref.first for ref in manifest.pages]
        self._paths = lru_cache(_PAGES_HELD)(self._read)

    def among(self, names: Iterable[bytes]) -> set[bytes]:
        """Return which of `names` the manifest has."""
        known = set[bytes]()
        if not self._firsts:
            return known
        for page, some in groupby(sorted(names), self._page_of):
            paths = self._paths(page)
            found = pc.is_in(paths, pa.array(list(some), pa.binary()))
            known.update(paths.filter(found).to_pylist())
        return known

    def below(self, directory: bytes) -> Iterator[pa.ChunkedArray]:
        """Yield the directory and the manifest's entries below it."""
        page = self._page_of(directory)
        while page < len(self._firsts) and self._firsts[page] < directory[:-1] + b"0":
            paths = self._paths(page)
            yield paths.filter(pc.starts_with(paths, directory))
            page += 1

    def _page_of(self, path: bytes) -> int:
        return max(0, bisect_right(self._firsts, path) - 1)

    def _read(self, page: int) -> pa.ChunkedArray:
        return self._manifest.read(self._manifest.pages[page], ["path"])["path"]
