"""Make a workspace usable again for its run, whatever was lost from it."""

import secrets
import shutil

from haulage.catalog import events
from haulage.catalog.runs import runs
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.shards import Shard, ShardState
from haulage.exchange.shard_files import has_outcomes, is_readable
from haulage.model import Pass
from haulage.private import make_directory
from haulage.run.context.run_context import RunContext
from haulage.run.context.workspace import name
from haulage.run.recovery.supersede import sweep


def reopen(context: RunContext, *, had_workspace: bool, goes_on: bool) -> None:
    """Make sure that the run can be resumed from what the catalog knows of it.

    A shard without outcomes was never done. If shards themselves are missing, or are of
    another version of this program, a run that `goes_on` starts over.
    """
    shards = ledger.listed(context.catalog, context.run.id)
    unknown = [shard for shard in shards if not _is_known(context, shard)]
    done = [shard for shard in unknown if shard.state is ShardState.DONE]
    if done:  # doing them again changes directories
        done += [shard for shard in shards if shard.pass_ is Pass.DIRS]
        ledger.undo(context.catalog, context.run, done)
    is_lost = any(not is_readable(context.workspace / shard.file) for shard in unknown)
    anew = goes_on and is_lost
    if anew:
        sweep(context)
        _clear(context)
        events.note(
            context.catalog, context.run.id, "began anew", {"shards": len(shards)}
        )
    if anew or not had_workspace or context.run.workspace is None:
        token = secrets.token_hex(16)
        context.run = runs.settle_in(context.catalog, context.run, token, anew=anew)
        name(context.workspace, token)


def _is_known(context: RunContext, shard: Shard) -> bool:
    """Tell whether the outcomes of a shard are known."""
    if shard.state is ShardState.DROPPED:
        return True
    if shard.state is not ShardState.DONE or shard.outcome is None:
        return False
    return has_outcomes(context.workspace / shard.outcome)


def _clear(context: RunContext) -> None:
    """Forget what the run has listed and done so far."""
    context.progress.counts.clear()
    context.notes.append(
        "the shards of this run were lost with its workspace, or are of another "
        "version of Haulage; it started over"
    )
    for part in ("shards", "outcomes", "ranges", "links"):
        shutil.rmtree(context.workspace / part, ignore_errors=True)
    for part in ("shards", "outcomes"):
        make_directory(context.workspace / part)
