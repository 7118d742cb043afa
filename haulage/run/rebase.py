"""Base a run on the target's present state, which may not be last night's."""

from collections.abc import Iterator

import pyarrow as pa

from haulage.catalog import events
from haulage.catalog.manifests.reader import Manifest, ManifestWriter
from haulage.catalog.runs.lineage import UNKNOWN, VERIFY, left_as, note_mark, rebase
from haulage.config.policy import Fsync
from haulage.errors import BrokenPageError
from haulage.planning.present import present
from haulage.run.context.run_context import RunContext
from haulage.run.context.target_mark import Mark, mounts_of
from haulage.run.discovery.discover import Comparison, listers_of, notes_of
from haulage.run.guards.recognition import Known, Looking, Target, target_of
from haulage.storage.tree.filesystem.spelling import Probe


def settle_base(context: RunContext) -> None:
    """Rebase the run on what the target holds, and mark the target.

    A resumed run may repeat both.
    """
    run = context.run
    manifest = Manifest(context.catalog, run.base_manifest_id)
    name = context.dataset
    comparison = Comparison(
        context.pair, context.policy, manifest, 0.0, notes=notes_of(name)
    )
    found = target_of(Looking(context.catalog, run.dataset_id, name, comparison, run))
    if found.words:
        context.notes.append(found.words)
        events.note(context.catalog, run.id, "target looked at", {"found": found.words})
    if found.known is Known.OLDER:
        assert found.left is not None
        version = ManifestWriter(context.catalog, run)
        for ref in Manifest(context.catalog, found.left.manifest_id).pages:
            version.reuse(ref)
        _begin_with(context, version, found.left.run_id)
    elif found.known is Known.NOTHING:
        _begin_with(context, _present(context, comparison), UNKNOWN)
    context.folds_by = _folding(context)
    if run.trigger == VERIFY and found.known is not Known.NOTHING:
        _keep_mark(context, found)
    else:
        _mark(context)


def _present(context: RunContext, comparison: Comparison) -> ManifestWriter:
    """Take over entries that are as Haulage made them; none of a damaged manifest.

    In that case the run compares with a listing of the target, as a first run does.
    """
    version, is_bucket = (
        ManifestWriter(context.catalog, context.run),
        comparison.pair.target.is_bucket,
    )
    try:
        known = comparison.manifest.tables()
        for table in present(_listed(context, comparison), known, is_bucket=is_bucket):
            version.add(table)
    except BrokenPageError:
        if not context.policy.afresh:
            raise
        return ManifestWriter(context.catalog, context.run)
    return version


def _begin_with(context: RunContext, version: ManifestWriter, after_run: str) -> None:
    context.run = rebase(context.catalog, context.run, version.commit(), after_run)


def _listed(context: RunContext, comparison: Comparison) -> Iterator[pa.Table]:
    """Yield the listing of the target; entries that cannot be read count as unknown."""
    context.progress.stage = "list the target"
    with listers_of(
        comparison, comparison.pair.target, None, context.workspace / "spool"
    ) as target:
        for piece in target.pieces(None):
            context.check()
            if isinstance(piece, pa.Table):
                yield piece


def _folding(context: RunContext) -> Probe | None:
    """Return the probe for names that the target folds, or None if it folds none."""
    target = context.pair.target
    if target.is_bucket or context.run.trigger == VERIFY:
        return None
    probe = Probe(target.url, context.run.temp_token)
    return probe if probe.folds() else None


def _keep_mark(context: RunContext, found: Target) -> None:
    """Write nothing: the recognised mark stays valid."""
    left = found.left or left_as(context.catalog, context.run.base_manifest_id)
    if left and left.marked:
        note_mark(context.catalog, context.run)


def _mark(context: RunContext) -> None:
    """Write a mark with this run's id into the target's root."""
    if context.run.base_manifest_id is None:
        context.probed()  # a target that is refused keeps no mark
    mark = Mark(context.run.id, context.run.after_run or None, mounts_of(context.pair))
    fsync = context.policy.fsync is not Fsync.NONE
    why_not = mark.write(context.pair, context.dataset, fsync=fsync)
    if why_not is None:
        note_mark(context.catalog, context.run)
    else:
        context.notes.append(
            "the target could not be marked, so another one in its place may go "
            f"unnoticed: {why_not}"
        )
