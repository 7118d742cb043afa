"""Holds a night against what it should have done; each complaint is a line."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from haulage.catalog.failures import Failure
from haulage.model import Kind
from haulage.paths import shown
from tests.e2e.place import Ended, Place
from tests.engine_builders import checksum_of
from tests.fuzz.world import Stats, is_own
from tests.trees.compare import Aspect, all_differences, leftovers, rsync_differences
from tests.trees.walk import below, opened

_LEFT_OUT = ("--exclude=/.haulage-*", "-AX", "--devices", "--specials", "-S")
_IS_KIND = {
    Kind.FILE: stat.S_ISREG,
    Kind.DIR: stat.S_ISDIR,
    Kind.SYMLINK: stat.S_ISLNK,
    Kind.FIFO: stat.S_ISFIFO,
    Kind.SOCKET: stat.S_ISSOCK,
    Kind.CHAR: stat.S_ISCHR,
    Kind.BLOCK: stat.S_ISBLK,
}
_ACTED = ("copied", "made", "updated", "deleted", "kept", "failed")


def unequal(
    place: Place, ignore: frozenset[Aspect] = frozenset(), *, asks_rsync: bool = True
) -> Iterator[str]:
    """Tell in what the target is not the source, by two judges."""
    for each in all_differences(place.source, place.target, ignore):
        if not is_own(each.path):
            yield f"differs: {each}"
    if asks_rsync:
        told = rsync_differences(place.source, place.target, *_LEFT_OUT)
        yield from (f"rsync: {line}" for line in told)
    yield from (f"left over: {path!r}" for path in leftovers(place.target))


def stats(root: "os.PathLike[str]") -> Stats:
    """Return what is in a tree, but not what Haulage keeps at its root."""
    with opened(os.fsencode(root)) as top:
        return {path: info for path, info in below(top) if not is_own(path)}


def overclaimed(place: Place, manifest: Mapping[bytes, Any]) -> Iterator[str]:
    """Tell what the manifest says that the target has, and is not so."""
    found = stats(place.target)
    for path, row in manifest.items():
        info = found.get(path.rstrip(b"/"))
        if path and (info is None or not _IS_KIND[row["kind"]](info.st_mode)):
            yield f"manifest: {shown(path)} is not in the target"
        elif path and (wrong := _content_wrong(place, path, info, row)):
            yield f"manifest: {shown(path)}: {wrong}"


def _content_wrong(
    place: Place, path: bytes, info: os.stat_result | None, row: Mapping[str, Any]
) -> str | None:
    full = os.path.join(os.fsencode(place.target), path)
    if row["kind"] == Kind.SYMLINK and os.readlink(full) != row["target"]:
        return "points elsewhere"
    if row["kind"] != Kind.FILE:
        return None
    if info is not None and info.st_size != row["size"]:
        return f"has {info.st_size} bytes, not {row['size']}"
    if row["checksum"] and _sum_of(full) != row["checksum"]:
        return "has another checksum"
    return None


def _sum_of(full: bytes) -> bytes:
    with open(full, "rb") as file:
        return checksum_of(file.read())


@dataclass(frozen=True)
class Planned:
    """What `plan` has told."""

    verbs: dict[str, list[str]]  # by path as shown
    listed: int
    acts: int
    deletes: int

    @classmethod
    def of(cls, ended: Ended) -> "Planned":
        """Read the lines of a plan."""
        *rows, summary = ended.lines()
        verbs: dict[str, list[str]] = {}
        for row in rows:
            verbs.setdefault(row["path"], []).append(row["verb"])
        notes = " ".join(summary["notes"])
        return cls(
            verbs,
            summary["listed"],
            _number(notes, "would act on "),
            _number(notes, "would delete "),
        )

    def has(self, path: bytes) -> bool:
        """Tell whether something was planned for an entry."""
        return shown(path) in self.verbs or shown(path + b"/") in self.verbs

    def deleted(self) -> set[str]:
        """Return the paths that were to be deleted, without slashes at the end."""
        named = (path for path, verbs in self.verbs.items() if "delete" in verbs)
        return {path.rstrip("/") for path in named}

    def made(self) -> set[str]:
        """Return the paths that were to get something new, in the same way."""
        named = (path for path, verbs in self.verbs.items() if {*verbs} - {"delete"})
        return {path.rstrip("/") for path in named}


def _number(notes: str, words: str) -> int:
    _, found, rest = notes.partition(words)
    return int(rest.split()[0].replace(",", "")) if found else 0


def unplanned(
    planned: Planned, before: Stats, after: Stats, summary: Mapping[str, Any]
) -> Iterator[str]:
    """Tell in what a run did another thing than its plan."""
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if _has_changed(was, now) and not planned.has(path):
            how = "made" if was is None else "removed" if now is None else "changed"
            yield f"plan: {shown(path)} was {how}, which was not planned"
    if planned.listed != summary["listed"]:
        yield f"plan: {planned.listed} listed, the run {summary['listed']}"
    lines = sum(len(verbs) for verbs in planned.verbs.values())
    if lines != planned.acts + planned.deletes:
        yield f"plan: {lines} lines, {planned.acts} acts, {planned.deletes} deletes"


def undone(
    planned: Planned,
    after: Stats,
    summary: Mapping[str, Any],
    told: Mapping[bytes, Failure],
) -> Iterator[str]:
    """Tell which deletes of a plan a run that deletes has not done, or told of."""
    excused = {
        path.rstrip(b"/") for path, each in told.items() if each.verb == "delete"
    }
    named = {shown(path) for path in excused}
    there = {shown(path) for path in after}
    for path in sorted((planned.deleted() & there) - named - planned.made()):
        yield f"plan: {path} was to be deleted, and is there"
    if planned.deletes != summary["deleted"] + len(excused):
        yield (
            f"plan: {planned.deletes} deletes, the run {summary['deleted']}, and "
            f"{len(excused)} that it told of"
        )


def _has_changed(was: os.stat_result | None, now: os.stat_result | None) -> bool:
    """Tell whether an entry is another; names that come and go do not make it one."""
    if was is None or now is None:
        return True
    owned = (was.st_mode, was.st_uid, was.st_gid) == (
        now.st_mode,
        now.st_uid,
        now.st_gid,
    )
    if stat.S_ISDIR(was.st_mode) and stat.S_ISDIR(now.st_mode):
        return not owned
    if max(was.st_nlink, now.st_nlink) > 1:
        times = was.st_mtime_ns, now.st_mtime_ns
    else:
        times = was.st_ctime_ns, now.st_ctime_ns
    return not owned or was.st_ino != now.st_ino or times[0] != times[1]


def acted_again(summary: Mapping[str, Any]) -> Iterator[str]:
    """Tell what a second run found to do."""
    for name in _ACTED:
        if summary[name]:
            yield f"again: {name} {summary[name]}"
