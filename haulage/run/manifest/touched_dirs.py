"""Find the directories that a run has touched, whose attributes must be set.

These are the directories that were made, or in which something was made or removed.
"""

import os
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.disksort import DiskSort
from haulage.model import Pass, Status, Verb
from haulage.planning.dirs import TOUCHED, Effect, Finishable, finishable, with_effect
from haulage.planning.merge import PATHS
from haulage.run.context.run_context import RunContext
from haulage.run.pass_order import MAKES
from haulage.run.sharding.outcomes import done, outcomes_of

_LOOKED_AT = ("verb", "status", "path", "etag")
_LAST_NAME = "[^/]*/?$"  # without it, a path is that of the directory it is in
# What needed no change may have been changed by an attempt that was lost before it said
# so, in this run or in one before: UNCHANGED and ABSENT are not among these.
_LEFT_ALONE = (Status.UPDATED, Status.VERIFIED, Status.KEPT)


def touched_dirs(context: RunContext) -> Iterator[pa.Table]:
    """Yield the paths of all directories touched so far, in canonical order."""
    if context.pair.target.is_bucket:
        return
    by_path = DiskSort(context.workspace / "touched-paths", PATHS, "path")
    for found in brought_together(context, effects_in(context)):
        by_path.add(pa.table([found.paths], schema=PATHS))
    yield from by_path.tables()


def brought_together(
    context: RunContext, words: Iterable[pa.Table]
) -> Iterator[Finishable]:
    """Yield each directory that `words` are about once, the deepest first."""
    spool = DiskSort(context.workspace / "touched", TOUCHED, "key")
    for table in words:
        spool.add(table)
    yield from finishable(spool.tables())


def effects_in(context: RunContext) -> Iterator[pa.Table]:
    """Yield what this run's outcomes say of directories."""
    is_any = False
    for pass_ in (*MAKES, Pass.LINKS, Pass.DELETE):
        for shard in done(context, pass_):
            outcomes = outcomes_of(context, shard, _LOOKED_AT)
            moved = _moved(outcomes)
            is_any = is_any or bool(moved)
            yield with_effect(moved, Effect.MOVED)
            if pass_ is Pass.DELETE:
                yield with_effect(_not_to_finish(outcomes), Effect.NOT_OURS)
            if pass_ is Pass.COPY and context.pair.source.is_bucket:
                yield with_effect(_implied(outcomes), Effect.IMPLIED)
    if is_any and (os.geteuid() != 0 or context.policy.trash is not None):
        # Movers open a read-only root, and make the trash in it.
        yield with_effect([b""], Effect.MOVED)


def _not_to_finish(outcomes: pa.Table) -> list[bytes]:
    """Return directories that the source lacks; those that undo found it may have."""
    restores = pc.equal(outcomes["verb"], pa.scalar(Verb.RESTORE, pa.uint8()))
    stands = pc.equal(outcomes["status"], pa.scalar(Status.KEPT, pa.uint8()))
    wanted = pc.invert(pc.and_(restores, stands))
    wanted = pc.and_(wanted, pc.ends_with(outcomes["path"], "/"))
    paths: list[bytes] = outcomes["path"].filter(wanted).to_pylist()
    return paths


def _implied(outcomes: pa.Table) -> list[bytes]:
    """Return the directories made that, by the listing, have no object."""
    is_made = outcomes["verb"].to_numpy() == Verb.MKDIR
    bare = outcomes["etag"].is_null().to_numpy()
    paths: list[bytes] = outcomes["path"].filter(pa.array(is_made & bare)).to_pylist()
    return paths


def _moved(outcomes: pa.Table) -> list[bytes]:
    """Return the directories that the shard made, or whose times it changed."""
    verbs, statuses = outcomes["verb"].to_numpy(), outcomes["status"].to_numpy()
    is_made = verbs == Verb.MKDIR
    # A mover opens what it makes directories in, for an owner who is not root.
    moved = ~np.isin(statuses, _LEFT_ALONE) | is_made
    made = outcomes["path"].filter(pa.array(is_made))
    above = pc.replace_substring_regex(
        outcomes["path"].filter(pa.array(moved)), pattern=_LAST_NAME, replacement=""
    )
    found: list[bytes] = pc.unique(
        pa.chunked_array([*made.chunks, *above.chunks], pa.binary())
    ).to_pylist()
    return found
