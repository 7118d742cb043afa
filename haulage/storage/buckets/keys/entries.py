"""Make entries of keys in order: directories, exclusions, refusals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from haulage.model import ENTRY, Kind
from haulage.storage.buckets.keys.paths import Rows, may_have_bad_names, why_no_names
from haulage.storage.tree.ours import is_mark, is_ours

_SLASH = 0x2F
_IMPLIED = -1  # the row of a directory that has no object
_NS = 1_000_000_000
CLASH = (
    "its key is a prefix of other keys too, and a path cannot be a file and a "
    "directory; the directory is kept, rename the object"
)
_MARKER_WITH_DATA = (
    "its key ends in '/', which a directory's path does, and it has data; rename it"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """The result for some rows: entries, and refused keys with reasons."""

    entries: pa.Table
    refused: list[tuple[bytes, str]]


class Tree:
    """Follows a span's keys in order.

    `behind` is the path up to which another part of the listing has everything; its own
    ancestors count as listed there. For files, directories are entries even without an
    object, and what a file system cannot hold is refused. `open` are the files below
    which other keys may still come; `left_out` is the excluded directory above the
    present keys.
    """

    def __init__(
        self,
        keep: Callable[[bytes], bool] | None,
        behind: bytes | None,
        *,
        for_files: bool,
    ) -> None:
        """Start after `behind`, or with the root."""
        # Between two buckets a trash is data: only trees have one of their own.
        self._is_ours = is_ours if for_files else is_mark
        self._keep = _without(self._is_ours, keep)
        self._takes_all = keep is None and not for_files  # of what is not ours
        self._for_files = for_files
        self._at_root = behind is None
        self._dir = b""
        self.left_out: bytes | None = None
        self.open: list[bytes] = []
        self._paths: list[bytes] = []
        self._rows: list[int] = []
        self._refused: list[tuple[bytes, str]] = []
        if behind:
            self._enter(behind[: behind.rfind(b"/") + 1])
            self._paths.clear()
            self._rows.clear()

    def take(self, rows: Rows) -> Taken:
        """Return the entries of the rows, which come after all previous ones."""
        first = self._begin(rows)
        if self._takes_all and not first and not any(map(self._is_ours, rows.paths)):
            if not self._paths:
                return Taken(_table(rows.paths, rows), [])
            self._paths += rows.paths
            self._rows += range(len(rows.paths))
        else:
            self._follow(rows, first)
        return self._taken(rows)

    def go_on_to(self, path: bytes) -> Taken:
        """Return the directories above `path`, from which others continue."""
        self._begin(_NO_ROWS)
        self._enter(path[: path.rfind(b"/", 0, max(len(path) - 1, 0)) + 1])
        return self._taken(_NO_ROWS)

    def _taken(self, rows: Rows) -> Taken:
        paths, self._paths = self._paths, []
        picked, self._rows = self._rows, []
        refused, self._refused = self._refused, []
        return Taken(_table(paths, rows, picked), refused)

    def _begin(self, rows: Rows) -> int:
        """Process the root, once; return how many rows it took."""
        if not self._at_root:
            return 0
        self._at_root = False
        has_marker = bool(rows.paths) and rows.paths[0] == b""
        if has_marker and rows.sizes[0] > 0:
            self._refused.append((b"", _MARKER_WITH_DATA))
        as_marker = has_marker and rows.sizes[0] == 0
        self._add(b"", 0 if as_marker else _IMPLIED)
        return int(has_marker)

    def _add(self, path: bytes, row: int) -> None:
        self._paths.append(path)
        self._rows.append(row)

    def _follow(self, rows: Rows, first: int) -> None:
        suspect = self._for_files and may_have_bad_names(rows.paths)
        for row in range(first, len(rows.paths)):
            path = rows.paths[row]
            if self.open:
                self._close_up_to(path)
            if self._for_files:
                reason = why_no_names(path) if suspect else None
                if path[-1] == _SLASH and rows.sizes[row] > 0:
                    reason = reason or _MARKER_WITH_DATA
                if reason:
                    self._refuse(path, reason)
                    continue
            self._follow_one(path, row)

    def _refuse(self, path: bytes, reason: str) -> None:
        if self._keep_below(path):
            self._refused.append((path, reason))

    def _keep_below(self, path: bytes) -> bool:
        """Tell whether the path and all above it are included, wherever it is."""
        return all(map(self._keep, (*_above(path), path)))

    def _follow_one(self, path: bytes, row: int) -> None:
        cut = path.rfind(b"/", 0, len(path) - 1) + 1
        if cut != len(self._dir) or not path.startswith(self._dir):
            self._enter(path[:cut])
        if self.left_out is not None:
            return
        is_dir = path[-1] == _SLASH
        if not self._keep(path):
            if is_dir:
                self._dir = self.left_out = path
            return
        if is_dir:
            self._dir = path
        elif self._for_files:
            self.open.append(path)
        self._add(path, row)

    def _enter(self, target: bytes) -> None:
        """Go to a directory; those on the way are listed, or exclude their content."""
        if self.left_out is not None and not target.startswith(self.left_out):
            self.left_out = None
        if self.left_out is None:
            for path in (*_above(target), target):
                if path and not self._keep(path):
                    self.left_out = path
                    break
                if self._for_files and not self._dir.startswith(path):
                    self._add(path, _IMPLIED)
        self._dir = target

    def _close_up_to(self, path: bytes) -> None:
        """Decide on the open files about which `path` is conclusive."""
        while self.open:
            top = self.open[-1]
            if path.startswith(top):
                if path[len(top)] < _SLASH:
                    return
                if path[len(top)] == _SLASH:
                    self._refused.append((top, CLASH))
            self.open.pop()


def _without(
    is_left_out: Callable[[bytes], bool], keep: Callable[[bytes], bool] | None
) -> Callable[[bytes], bool]:
    """Return a `keep` that leaves out Haulage's own names in a root."""
    return lambda path: not is_left_out(path) and (keep is None or keep(path))


def _above(path: bytes) -> Iterator[bytes]:
    """Yield the directories above `path` except the root, the highest first."""
    at = path.find(b"/")
    while 0 <= at < len(path) - 1:
        yield path[: at + 1]
        at = path.find(b"/", at + 1)


_NO_ROWS = Rows([], np.empty(0, np.int64), [], np.empty(0, np.int64))


def _table(paths: list[bytes], rows: Rows, picked: list[int] | None = None) -> pa.Table:
    """Build ENTRY columns; `picked` are the rows of the paths."""
    if picked is not None:  # _IMPLIED, -1, is the row behind the last
        at = np.array(picked, np.int64)
        sizes, modified_ns = (
            np.append(column, 0)[at] for column in (rows.sizes, rows.modified_ns)
        )
        every = [*rows.etags, None]
        etags = [every[row] for row in picked]
    else:
        sizes, modified_ns, etags = rows.sizes, rows.modified_ns, rows.etags
    return _columns(paths, sizes, modified_ns, etags)


def _columns(
    paths: list[bytes],
    sizes: np.ndarray,
    modified_ns: np.ndarray,
    etags: list[bytes | None],
) -> pa.Table:
    named_dir = np.fromiter(
        (path[-1:] in (b"/", b"") for path in paths), np.bool_, len(paths)
    )
    seconds, nanoseconds = np.divmod(modified_ns, _NS)
    given = {
        "path": pa.array(paths, pa.binary()),
        "kind": np.where(named_dir & (sizes == 0), Kind.DIR, Kind.FILE),
        "size": sizes,
        "mtime_s": seconds,
        "mtime_ns": nanoseconds,
        "ctime_s": seconds,
        "ctime_ns": nanoseconds,
        "target": pa.nulls(len(paths), pa.binary()),
        "etag": pa.array(etags, pa.binary()),
    }
    zeros = np.zeros(len(paths), np.int64)
    columns = [_as_column(given.get(field.name, zeros), field.type) for field in ENTRY]
    return pa.table(columns, schema=ENTRY)


def _as_column(values: pa.Array | np.ndarray, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    return pa.array(values.astype(kind.to_pandas_dtype(), copy=False), kind)
