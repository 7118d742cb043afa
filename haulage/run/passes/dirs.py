"""The pass that sets the final attributes of directories, the root last."""

import os
from collections.abc import Iterator
from functools import partial
from itertools import chain

import pyarrow as pa

from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs.shards import Shard
from haulage.config.policy import Step
from haulage.disksort import gathered
from haulage.model import Kind, Pass, Verb
from haulage.planning.actions import on_paths
from haulage.planning.columns import is_dir
from haulage.planning.dirs import Effect, with_effect
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import TaskRunner
from haulage.run.manifest.touched_dirs import brought_together, effects_in
from haulage.run.sharding.outcomes import is_sealed, ready
from haulage.run.sharding.seal import seal
from haulage.run.sharding.waves import Wave, run_wave


def finish_dirs(context: RunContext, runner: TaskRunner) -> None:
    """Set the final attributes of each directory the run touched, the root last."""
    if not is_sealed(context, Pass.DIRS):
        seal(context, Pass.DIRS, 0, to_finish(context))
    if left := ready(context, Pass.DIRS):
        context.progress.stage = "directories"
        runner.call("directories", partial(_finish_dirs, context, left))


def _finish_dirs(context: RunContext, left: list[Shard]) -> None:
    if os.geteuid() == 0:
        run_wave(context, Wave("directories", tuple(left)))
        return
    for shard in left:  # a directory that we may no longer enter hides those below
        run_wave(context, Wave(f"directories {shard.seq}", (shard,)))


def to_finish(context: RunContext) -> Iterator[pa.Table]:
    """Yield the actions for all directories touched so far, the deepest first."""
    if Step.DIRS not in context.policy.steps or context.pair.target.is_bucket:
        return
    tables = (
        on_paths(found.paths, Verb.DIR, Kind.DIR, found.etags)
        for found in brought_together(
            context, chain(_asked(context), effects_in(context))
        )
    )
    step = context.bounds.max_entries
    for table in gathered(tables):
        for start in range(0, table.num_rows, step):
            yield table.slice(start, step)


def _asked(context: RunContext) -> Iterator[pa.Table]:
    """Yield every directory, if `dirs` is the only step of the policy."""
    if context.policy.steps == (Step.DIRS,):
        for table in Manifest(context.catalog, context.run.base_manifest_id).tables():
            paths = table["path"].filter(pa.array(is_dir(table)))
            yield with_effect(paths.to_pylist(), Effect.MOVED)
