"""The pass that gives linked files their other names, after one of them was made."""

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa

from haulage.model import ACTION, Pass, Status
from haulage.ops.joining import JOINED, as_members, as_outcomes, joined
from haulage.ops.merge import HOLDS, PATHS, among
from haulage.ops.pack import pack
from haulage.ops.plan import prove
from haulage.policy import Verify
from haulage.stages.crew import Crew
from haulage.stages.links import gathered, links_of
from haulage.stages.rejoining import links_again
from haulage.stages.rounds import (
    MAKES,
    MAKES_AND_PROVES,
    done,
    is_sealed,
    once,
    outcomes_of,
    rows_with,
    run_pass,
    to_prove,
    worth_another_try,
)
from haulage.stages.sealing import seal
from haulage.stages.site import Site
from haulage.storage.disksort import ENTRY_ROWS, DiskSort


def settle_links(site: Site, crew: Crew) -> None:
    """Link what is not as it should be, and try again what may succeed now."""
    _link(site, crew, 0)
    for round_ in range(1, site.policy.attempts):
        again = None
        if not is_sealed(site, Pass.LINKS, round_):
            again = _paths(site, worth_another_try(site, [Pass.LINKS], round_ - 1))
            if again is None:
                return
            site.pause(round_)
        _link(site, crew, round_, again)


def settle_blocked_links(site: Site, crew: Crew) -> None:
    """Link what was blocked, itself or by its leader; verify what had to be copied."""
    last = site.policy.attempts
    rows = [rows_with(site, [Pass.LINKS], range(last), [Status.BLOCKED])]
    if site.pair.rejoins:
        rows.append(rows_with(site, MAKES, [last], HOLDS))
    again = _paths(site, chain(*rows))
    if again is not None:
        _link(site, crew, last, again)
    if site.policy.verify is not Verify.NONE and not is_sealed(
        site, Pass.VERIFY, last + 1
    ):
        copied = rows_with(site, [Pass.LINKS], range(last + 1), [Status.COPIED])
        seal(
            site,
            Pass.VERIFY,
            last + 1,
            [prove(to_prove(site, rows)) for rows in copied],
        )
    run_pass(site, crew, Pass.VERIFY, last + 1, "verify copies for links")


def _paths(site: Site, tables: Iterator[pa.Table]) -> Iterator[pa.Table] | None:
    return once(site, "links/again", PATHS, tables)


def _link(
    site: Site, crew: Crew, round_: int, only: Iterator[pa.Table] | None = None
) -> None:
    """Seal the members of groups, or `only` those, as a round of their own, unless
    that was done.
    """
    if not is_sealed(site, Pass.LINKS, round_):
        rejoins = site.pair.rejoins
        links = links_again(site) if rejoins else _members(site)
        actions = _in_order(site, links)
        wanted = actions if only is None else among(actions, only)
        shards = (shard for some in wanted for shard in pack(some, site.bounds))
        sealed = seal(site, Pass.LINKS, round_, shards)
        if rejoins:  # members between two directories were counted when planned
            entries = sum(shard.entries for shard in sealed)
            site.meter.counts["planned"] += entries
    site.meter.stage = "links"
    run_pass(site, crew, Pass.LINKS, round_, "hard links")


def _in_order(site: Site, links: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield actions in canonical order, in large tables."""
    spool = site.workspace / "links" / "sort" / "actions"
    actions = DiskSort(spool, ACTION, "path", run_rows=ENTRY_ROWS)
    for table in links:
        actions.add(table)
    yield from gathered(actions.tables())


def _members(site: Site) -> Iterator[pa.Table]:
    """Yield the actions of members, which know by now what became of their leaders."""
    spool = site.workspace / "links" / "sort"
    both = DiskSort(spool / "joined", JOINED, "key", run_rows=ENTRY_ROWS)
    found = 0
    for members in links_of(site.workspace).members():
        found += members.num_rows
        both.add(as_members(members))
    if not found:
        return
    for order, outcomes in enumerate(_of_leaders(site)):
        both.add(as_outcomes(outcomes, order))
    yield from joined(both.tables())


def _of_leaders(site: Site) -> Iterator[pa.Table]:
    """Yield what became of all that leaders may be among, in the order it happened."""
    for round_ in range(site.policy.attempts + 1):
        for pass_ in MAKES_AND_PROVES:
            for shard in done(site, pass_, round_):
                yield outcomes_of(site, shard)
