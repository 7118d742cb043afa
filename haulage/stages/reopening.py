"""Makes a workspace that of its run again, whatever became of what was in it."""

import secrets
import shutil

from haulage.catalog import events, runs
from haulage.catalog import shards as ledger
from haulage.catalog.shards import Shard, ShardState
from haulage.model import Pass
from haulage.private import make_directory
from haulage.shardfile import has_outcomes, is_readable
from haulage.stages.salvage import sweep
from haulage.stages.site import Site
from haulage.stages.workspace import name


def reopen(site: Site, *, had_workspace: bool, goes_on: bool) -> None:
    """See to it that the run can go on by what the catalog says of it.

    A shard whose outcomes are lost was never done. Where shards themselves are, or are
    of another version of this program, a run that `goes_on` begins anew.
    """
    shards = ledger.listed(site.catalog, site.run.id)
    unknown = [shard for shard in shards if not _is_known(site, shard)]
    done = [shard for shard in unknown if shard.state is ShardState.DONE]
    if done:  # doing them again changes directories
        done += [shard for shard in shards if shard.pass_ is Pass.DIRS]
        ledger.undo(site.catalog, site.run, done)
    is_lost = any(not is_readable(site.workspace / shard.file) for shard in unknown)
    anew = goes_on and is_lost
    if anew:
        sweep(site)
        _clear(site)
        events.note(site.catalog, site.run.id, "began anew", {"shards": len(shards)})
    if anew or not had_workspace or site.run.workspace is None:
        token = secrets.token_hex(16)
        site.run = runs.settle_in(site.catalog, site.run, token, anew=anew)
        name(site.workspace, token)


def _is_known(site: Site, shard: Shard) -> bool:
    """Tell whether it is known what became of a shard."""
    if shard.state is ShardState.DROPPED:
        return True
    if shard.state is not ShardState.DONE or shard.outcome is None:
        return False
    return has_outcomes(site.workspace / shard.outcome)


def _clear(site: Site) -> None:
    """Forget what the run has listed and done so far."""
    site.meter.counts.clear()
    site.notes.append(
        "what this run had to do was lost with its workspace, or is of another version "
        "of Haulage; it began anew"
    )
    for part in ("shards", "outcomes", "ranges", "links"):
        shutil.rmtree(site.workspace / part, ignore_errors=True)
    for part in ("shards", "outcomes"):
        make_directory(site.workspace / part)
