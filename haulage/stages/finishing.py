"""The pass that gives directories their final attributes, the root last."""

import os
from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import shards as ledger
from haulage.catalog.manifests import Manifest
from haulage.catalog.shards import Shard, ShardState
from haulage.model import Kind, Pass, Status, Verb
from haulage.ops.plan import on_paths
from haulage.ops.rows import is_dir
from haulage.ops.touched import TOUCHED, Word, finishable, said
from haulage.policy import Step
from haulage.stages.crew import Crew
from haulage.stages.links import gathered
from haulage.stages.rounds import MAKES, done, outcomes_of
from haulage.stages.sealing import seal
from haulage.stages.site import Site
from haulage.stages.wave import Wave, run_wave
from haulage.storage.disksort import DiskSort

_LOOKED_AT = ("verb", "status", "path", "etag")
_LAST_NAME = "[^/]*/?$"  # without it, a path is that of the directory it is in
# What needed no change may have been changed by an attempt that was lost before it said
# so, in this run or in one before: UNCHANGED and ABSENT are not among these.
_LEFT_ALONE = (Status.UPDATED, Status.VERIFIED, Status.KEPT)


def finish_dirs(site: Site, crew: Crew) -> None:
    """Give each directory that the run touched its final attributes, the root last."""
    if not ledger.are_there(site.catalog, site.run.id, Pass.DIRS):
        seal(site, Pass.DIRS, 0, to_finish(site))
    ready = ledger.listed(
        site.catalog, site.run.id, pass_=Pass.DIRS, states=[ShardState.READY]
    )
    if ready:
        site.meter.stage = "directories"
        crew.call("directories", partial(_finish_dirs, site, ready))


def _finish_dirs(site: Site, ready: list[Shard]) -> None:
    if os.geteuid() == 0:
        run_wave(site, Wave("directories", tuple(ready)))
        return
    for shard in ready:  # a directory that we may no longer enter hides those below
        run_wave(site, Wave(f"directories {shard.seq}", (shard,)))


def to_finish(site: Site) -> Iterator[pa.Table]:
    """Yield the actions for all directories touched so far, the deepest first."""
    if Step.DIRS not in site.policy.steps or site.pair.target.is_bucket:
        return
    spool = site.workspace / "touched"
    words = DiskSort(spool, TOUCHED, "key")
    for table in _said(site):
        words.add(table)
    tables = (
        on_paths(found.paths, Verb.DIR, Kind.DIR, found.etags)
        for found in finishable(words.tables())
    )
    step = site.bounds.max_entries
    for table in gathered(tables):
        for start in range(0, table.num_rows, step):
            yield table.slice(start, step)


def _said(site: Site) -> Iterator[pa.Table]:
    """Yield what is said of directories, by this run's outcomes and by its policy."""
    if site.policy.steps == (Step.DIRS,):
        yield from _every_dir(site)
    is_any = False
    for pass_ in (*MAKES, Pass.LINKS, Pass.DELETE):
        for shard in done(site, pass_):
            outcomes = outcomes_of(site, shard, _LOOKED_AT)
            moved = _moved(outcomes)
            is_any = is_any or bool(moved)
            yield said(moved, Word.MOVED)
            if pass_ is Pass.DELETE:
                yield said(_not_to_finish(outcomes), Word.NOT_OURS)
            if pass_ is Pass.COPY and site.pair.source.is_bucket:
                yield said(_implied(outcomes), Word.IMPLIED)
    if is_any and (os.geteuid() != 0 or site.policy.trash is not None):
        # Movers open a read-only root, and make the trash in it.
        yield said([b""], Word.MOVED)


def _not_to_finish(outcomes: pa.Table) -> list[bytes]:
    """Return directories that the source has not; what undo found it may have."""
    restores = pc.equal(outcomes["verb"], pa.scalar(Verb.RESTORE, pa.uint8()))
    stands = pc.equal(outcomes["status"], pa.scalar(Status.KEPT, pa.uint8()))
    wanted = pc.invert(pc.and_(restores, stands))
    wanted = pc.and_(wanted, pc.ends_with(outcomes["path"], "/"))
    paths: list[bytes] = outcomes["path"].filter(wanted).to_pylist()
    return paths


def _implied(outcomes: pa.Table) -> list[bytes]:
    """Return the directories made of which the listing told that no object stands."""
    is_made = outcomes["verb"].to_numpy() == Verb.MKDIR
    bare = outcomes["etag"].is_null().to_numpy()
    paths: list[bytes] = outcomes["path"].filter(pa.array(is_made & bare)).to_pylist()
    return paths


def _every_dir(site: Site) -> Iterator[pa.Table]:
    for table in Manifest(site.catalog, site.run.base_manifest_id).tables():
        paths = table["path"].filter(pa.array(is_dir(table)))
        yield said(paths.to_pylist(), Word.MOVED)


def _moved(outcomes: pa.Table) -> list[bytes]:
    """Return the directories whose times the shard's actions moved, or that it made."""
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
