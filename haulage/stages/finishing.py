"""The pass that gives directories their final attributes, the root last."""

import os
from collections.abc import Iterator
from functools import partial
from itertools import chain

import pyarrow as pa

from haulage.catalog import shards as ledger
from haulage.catalog.manifests import Manifest
from haulage.catalog.shards import Shard, ShardState
from haulage.model import Kind, Pass, Verb
from haulage.ops.plan import on_paths
from haulage.ops.rows import is_dir
from haulage.ops.touched import Word, said
from haulage.policy import Step
from haulage.stages.crew import Crew
from haulage.stages.links import gathered
from haulage.stages.sealing import seal
from haulage.stages.site import Site
from haulage.stages.touching import brought_together, said_in
from haulage.stages.wave import Wave, run_wave


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
    tables = (
        on_paths(found.paths, Verb.DIR, Kind.DIR, found.etags)
        for found in brought_together(site, chain(_asked(site), said_in(site)))
    )
    step = site.bounds.max_entries
    for table in gathered(tables):
        for start in range(0, table.num_rows, step):
            yield table.slice(start, step)


def _asked(site: Site) -> Iterator[pa.Table]:
    """Yield every directory, if a policy asks for nothing else."""
    if site.policy.steps == (Step.DIRS,):
        for table in Manifest(site.catalog, site.run.base_manifest_id).tables():
            paths = table["path"].filter(pa.array(is_dir(table)))
            yield said(paths.to_pylist(), Word.MOVED)
