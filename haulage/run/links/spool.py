"""Spool of linked files: gathered during the listing, decided at its end."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from haulage.disksort import ENTRY_ROWS, DiskSort, batches_of, write_batches
from haulage.model import ACTION
from haulage.planning.link_rows import LINKS, Rank
from haulage.private import make_directory
from haulage.run.links.election import GROUPED, MEMBER, elect, with_key


class Numbers(NamedTuple):
    """How many linked files were listed, and how many of them need an action."""

    listed: int
    leaders: int
    members: int


class LinkSpool:
    """The linked files of one run: listed page by page, then leaders and members.

    All of it is on disk, where a resumed run finds what it had listed.
    """

    def __init__(self, where: Path) -> None:
        """Keep everything below `where`, which need not exist."""
        self._listed = where / "listed"
        self._members = where / "members.arrow"
        self._sort = where / "sort"
        self._held: list[pa.Table] = []
        self.held_rows = 0

    def forget_behind(self, after: bytes | None) -> None:
        """Drop entries after `after`: they are not recorded, and are listed again."""
        for file in self._files():
            batch = next(batches_of(file))
            if after is None or batch["path"][0].as_py() > after:
                file.unlink()

    def add(self, links: pa.Table) -> None:
        """Add one page's linked files, in canonical order."""
        if links.num_rows:
            self._held.append(links)
            self.held_rows += links.num_rows

    def flush(self) -> None:
        """Write everything added since the last call."""
        if not self.held_rows:
            return
        make_directory(self._listed)
        number = sum(1 for _ in self._listed.iterdir())
        _write(self._listed / f"{number:08}.arrow", LINKS, iter(self._held))
        self._held, self.held_rows = [], 0

    @property
    def is_empty(self) -> bool:
        """Tell whether no linked file was listed."""
        return not self.held_rows and not self._files()

    def _files(self) -> list[Path]:
        return sorted(self._listed.glob("*.arrow"))

    def elect(self) -> Numbers:
        """Decide about every group, after all of them were written."""
        listed = 0
        groups = DiskSort(self._sort / "groups", GROUPED, "key", run_rows=ENTRY_ROWS)
        for file in self._files():
            for table in batches_of(file):
                listed += int((table["rank"].to_numpy() != Rank.GONE).sum())
                groups.add(with_key(table))
        self._leaders = DiskSort(
            self._sort / "leaders", ACTION, "path", run_rows=ENTRY_ROWS
        )
        found = Counter[str]()
        _write(self._members, MEMBER, self._elected(groups, found))
        return Numbers(listed, found["leaders"], found["members"])

    def _elected(self, groups: DiskSort, found: Counter[str]) -> Iterator[pa.Table]:
        """Yield the members; the leaders are written meanwhile."""
        for leaders, members in elect(groups.tables()):
            self._leaders.add(leaders)
            found["leaders"] += leaders.num_rows
            found["members"] += members.num_rows
            yield members

    def leaders(self) -> Iterator[pa.Table]:
        """Yield the actions for leaders, in canonical order, once."""
        yield from self._leaders.tables()

    def members(self) -> Iterator[pa.Table]:
        """Yield the members of all groups that have changed."""
        if self._members.exists():
            yield from batches_of(self._members)


def _write(file: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write a file, which gets its name only when it is complete."""
    unfinished = file.with_name(file.name + ".unfinished")
    write_batches(unfinished, schema, tables)
    unfinished.replace(file)


def links_of(workspace: Path) -> LinkSpool:
    """Return the linked files of the run with this workspace."""
    return LinkSpool(workspace / "links")
