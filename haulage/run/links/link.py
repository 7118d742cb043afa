"""The pass that makes the other names of linked files, after their leaders exist."""

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa

from haulage.config.policy import Verify
from haulage.disksort import ENTRY_ROWS, DiskSort, gathered
from haulage.model import ACTION, Pass, Status
from haulage.planning.actions import prove
from haulage.planning.merge import HOLDS, PATHS, among
from haulage.planning.pack import pack
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.links.members import JOINED, as_members, as_outcomes, joined
from haulage.run.links.rejoin import links_again
from haulage.run.links.spool import links_of
from haulage.run.pass_order import (
    LINK_COPIES,
    LINKS,
    MAKES,
    MAKES_AND_PROVES,
    UNBLOCKED,
    UNBLOCKED_LINKS,
    turns,
)
from haulage.run.sharding.outcomes import (
    done,
    is_sealed,
    once,
    outcomes_of,
    rows_with,
    to_prove,
    worth_another_try,
)
from haulage.run.sharding.seal import seal
from haulage.run.sharding.waves import run_pass


def settle_links(context: RunContext, runner: TaskRunner) -> None:
    """Link all names that need it, and retry those that may succeed now."""
    for round_ in LINKS.rounds_of(context.policy.attempts):
        again = None
        if round_ and not is_sealed(context, Pass.LINKS, round_):
            tables = worth_another_try(context, [Pass.LINKS], round_ - 1)
            again = _paths(context, tables)
            if again is None:
                return
            context.pause(round_)
        _link(context, runner, round_, again)


def settle_blocked_links(context: RunContext, runner: TaskRunner) -> None:
    """Link names that were blocked, themselves or by their leader."""
    attempts = context.policy.attempts
    earlier = LINKS.rounds_of(attempts)
    rows = [rows_with(context, [Pass.LINKS], earlier, [Status.BLOCKED])]
    if context.pair.rejoins:
        rows.append(rows_with(context, MAKES, UNBLOCKED.rounds_of(attempts), HOLDS))
    again = _paths(context, chain(*rows))
    if again is not None:
        for round_ in UNBLOCKED_LINKS.rounds_of(attempts):
            _link(context, runner, round_, again)


def verify_link_copies(context: RunContext, runner: TaskRunner) -> None:
    """Verify the names that were copied because they could not be linked."""
    attempts = context.policy.attempts
    rounds = [*LINKS.rounds_of(attempts), *UNBLOCKED_LINKS.rounds_of(attempts)]
    for round_ in LINK_COPIES.rounds_of(attempts):
        is_wanted = context.policy.verify is not Verify.NONE
        if is_wanted and not is_sealed(context, Pass.VERIFY, round_):
            copied = rows_with(context, [Pass.LINKS], rounds, [Status.COPIED])
            shards = [prove(to_prove(context, rows)) for rows in copied]
            seal(context, Pass.VERIFY, round_, shards)
        run_pass(context, runner, Pass.VERIFY, round_, "verify copies for links")


def _paths(
    context: RunContext, tables: Iterator[pa.Table]
) -> Iterator[pa.Table] | None:
    return once(context, "links/again", PATHS, tables)


def _link(
    context: RunContext,
    runner: TaskRunner,
    round_: int,
    only: Iterator[pa.Table] | None = None,
) -> None:
    """Seal the members of groups, or `only` those, as a round of their own, unless
    that was done.
    """
    if not is_sealed(context, Pass.LINKS, round_):
        rejoins = context.pair.rejoins
        links = links_again(context) if rejoins else _members(context)
        actions = _in_order(context, links)
        wanted = actions if only is None else among(actions, only)
        shards = (shard for some in wanted for shard in pack(some, context.bounds))
        sealed = seal(context, Pass.LINKS, round_, shards)
        if rejoins:  # members between two directories were counted when planned
            entries = sum(shard.entries for shard in sealed)
            context.progress.counts["planned"] += entries
    context.progress.stage = "links"
    run_pass(context, runner, Pass.LINKS, round_, "hard links")


def _in_order(context: RunContext, links: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield actions in canonical order, in large tables."""
    spool = context.workspace / "links" / "sort" / "actions"
    actions = DiskSort(spool, ACTION, "path", run_rows=ENTRY_ROWS)
    for table in links:
        actions.add(table)
    yield from gathered(actions.tables())


def _members(context: RunContext) -> Iterator[pa.Table]:
    """Yield the actions of members, with the outcome of their leaders."""
    spool = context.workspace / "links" / "sort"
    both = DiskSort(spool / "joined", JOINED, "key", run_rows=ENTRY_ROWS)
    found = 0
    for members in links_of(context.workspace).members():
        found += members.num_rows
        both.add(as_members(members))
    if not found:
        return
    for order, outcomes in enumerate(_of_leaders(context)):
        both.add(as_outcomes(outcomes, order))
    yield from joined(both.tables())


def _of_leaders(context: RunContext) -> Iterator[pa.Table]:
    """Yield all outcomes that may be those of leaders, in the order of the run."""
    for pass_, round_ in turns(context.policy.attempts):
        if pass_ in MAKES_AND_PROVES:
            for shard in done(context, pass_, round_):
                yield outcomes_of(context, shard)
