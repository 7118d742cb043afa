"""Spans of the canonical order that an earlier run did not cover."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

Span = tuple[bytes, bytes]  # from a path on, up to a path that is not in it


def alone(path: bytes) -> Span:
    """Return the span of one path."""
    return path, path + b"\0"


def below(path: bytes) -> Span:
    """Return the span of everything below `path`, if it is a directory."""
    name = path.removesuffix(b"/")
    return name + b"/", name + b"0"  # the byte behind the slash


def between(first: bytes, last: bytes) -> Span:
    """Return the span from `first` up to and with `last`."""
    return first, last + b"\0"


@dataclass(frozen=True, slots=True)
class Spans:
    """Sorted spans that do not overlap, so that few are checked for a page."""

    starts: tuple[bytes, ...] = ()
    ends: tuple[bytes, ...] = ()

    def within(self, paths: pa.ChunkedArray) -> np.ndarray:
        """Tell which of `paths`, in canonical order, are in any span."""
        found = np.zeros(len(paths), np.bool_)
        if not self.starts or not len(paths):
            return found
        low = bisect_right(self.ends, paths[0].as_py())
        high = bisect_right(self.starts, paths[-1].as_py())
        for at in range(low, high):
            found[_row(paths, self.starts[at]) : _row(paths, self.ends[at])] = True
        return found


def _row(paths: pa.ChunkedArray, path: bytes) -> int:
    return bisect_left(paths, path, key=lambda scalar: scalar.as_py())


NO_SPANS = Spans()


def spans(found: Iterable[Span]) -> Spans:
    """Merge overlapping spans."""
    starts: list[bytes] = []
    ends: list[bytes] = []
    for start, end in sorted(found):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return Spans(tuple(starts), tuple(ends))
