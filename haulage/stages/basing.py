"""Has a run begin with what its target is, which may not be what last night left."""

from collections.abc import Iterator

import pyarrow as pa

from haulage.catalog import events
from haulage.catalog.lineage import UNKNOWN, VERIFY, left_as, note_mark, rebase
from haulage.catalog.manifests import Manifest, ManifestWriter
from haulage.errors import BrokenPageError
from haulage.ops.present import present
from haulage.policy import Fsync
from haulage.stages.discover import Ends, listers_of, notes_of
from haulage.stages.marks import Mark, mounts_of
from haulage.stages.recognition import Known, Looking, Target, target_of
from haulage.stages.site import Site
from haulage.storage.tree.spelling import Probe


def settle_base(site: Site) -> None:
    """Make the manifest say what the target holds, and the target who works on it.

    Both may be done again by a run that goes on.
    """
    run = site.run
    manifest = Manifest(site.catalog, run.base_manifest_id)
    name = site.dataset
    ends = Ends(site.pair, site.policy, manifest, 0.0, notes=notes_of(name))
    found = target_of(Looking(site.catalog, run.dataset_id, name, ends, run))
    if found.words:
        site.notes.append(found.words)
        events.note(site.catalog, run.id, "target looked at", {"found": found.words})
    if found.known is Known.OLDER:
        assert found.left is not None
        version = ManifestWriter(site.catalog, run)
        for ref in Manifest(site.catalog, found.left.manifest_id).pages:
            version.keep(ref)
        _begin_with(site, version, found.left.run_id)
    elif found.known is Known.NOTHING:
        _begin_with(site, _present(site, ends), UNKNOWN)
    site.folds_by = _folding(site)
    if run.trigger == VERIFY and found.known is not Known.NOTHING:
        _keep_mark(site, found)
    else:
        _mark(site)


def _present(site: Site, ends: Ends) -> ManifestWriter:
    """Take up what the target has as it was made; of a broken manifest, nothing.

    Then the run compares with a listing of the target as a first run does.
    """
    version, is_bucket = (
        ManifestWriter(site.catalog, site.run),
        ends.pair.target.is_bucket,
    )
    try:
        known = ends.manifest.tables()
        for table in present(_listed(site, ends), known, is_bucket=is_bucket):
            version.add(table)
    except BrokenPageError:
        if not site.policy.afresh:
            raise
        return ManifestWriter(site.catalog, site.run)
    return version


def _begin_with(site: Site, version: ManifestWriter, after_run: str) -> None:
    site.run = rebase(site.catalog, site.run, version.commit(), after_run)


def _listed(site: Site, ends: Ends) -> Iterator[pa.Table]:
    """Yield the listing of the target; what can not be read there is not known."""
    site.meter.stage = "list the target"
    with listers_of(ends, ends.pair.target, None, site.workspace / "spool") as target:
        for piece in target.pieces(None):
            site.check()
            if isinstance(piece, pa.Table):
                yield piece


def _folding(site: Site) -> Probe | None:
    """Return what tells which names the target takes for one, if there are any."""
    target = site.pair.target
    if target.is_bucket or site.run.trigger == VERIFY:
        return None
    probe = Probe(target.url, site.run.temp_token)
    return probe if probe.folds() else None


def _keep_mark(site: Site, found: Target) -> None:
    """Write nothing: the mark that was recognised says how the target stays."""
    left = found.left or left_as(site.catalog, site.run.base_manifest_id)
    if left and left.marked:
        note_mark(site.catalog, site.run)


def _mark(site: Site) -> None:
    """Write who works on the target from now on into its root."""
    if site.run.base_manifest_id is None:
        site.probed()  # a target that is refused keeps no mark
    mark = Mark(site.run.id, site.run.after_run or None, mounts_of(site.pair))
    fsync = site.policy.fsync is not Fsync.NONE
    why_not = mark.write(site.pair, site.dataset, fsync=fsync)
    if why_not is None:
        note_mark(site.catalog, site.run)
    else:
        site.notes.append(
            f"the target could not be marked, so that another one in its place may go "
            f"unnoticed: {why_not}"
        )
