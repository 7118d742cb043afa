"""Lists the source, compares it with what is known of the target, and plans."""

import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from haulage.catalog import delete_plans
from haulage.catalog import shards as ledger
from haulage.catalog.engine import home
from haulage.catalog.manifests import Manifest
from haulage.catalog.shards import ShardState
from haulage.errors import FatalError
from haulage.launch.listers import Listers
from haulage.model import (
    DEVICES,
    MANIFEST,
    SPECIALS,
    Kind,
    Pass,
    Preserve,
    Verified,
)
from haulage.ops.aspects import Against, Aspect
from haulage.ops.compare import compare
from haulage.ops.difference import Difference
from haulage.ops.listing import Selection
from haulage.ops.mounts import Mounts
from haulage.ops.plan import Intent, plan
from haulage.ops.spellings import Spellings
from haulage.place import Place
from haulage.policy import Compare, Filters, Policy, RunPolicy, Verify
from haulage.private import make_directory, tighten
from haulage.stages.aside import Aside
from haulage.stages.ends import Pair
from haulage.stages.own import NOTES, shut_in
from haulage.stages.replacing import replacing_in
from haulage.stages.sealing import UNREADABLE_FILE, Sealer
from haulage.stages.shared import shared_in
from haulage.stages.site import Site
from haulage.stages.steps import limited
from haulage.stages.unmounted import mounts_of
from haulage.stages.wave import Wave
from haulage.stages.widening import NOTHING, Lacking, lacking
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.spelling import Probe
from haulage.storage.tree.walk import Unreadable

_ASKED = {
    Compare.CHECKSUM: (Kind.FILE,),
    Compare.ALWAYS: tuple(Kind),
}
# What tells of other content, but does not count.
_UNCOMPARED = {
    Compare.MTIME: Aspect.INODE | Aspect.CTIME,
    Compare.SIZE: Aspect.INODE | Aspect.CTIME | Aspect.TIME | Aspect.RACY,
}
_SLASH = 0x2F
_PROOF = {Verify.METADATA: Verified.METADATA, Verify.CHECKSUM: Verified.CHECKSUM}


@dataclass(frozen=True, slots=True)
class Ends:
    """What discovery compares: a source, a target, the manifest, and the rules."""

    pair: Pair
    policy: RunPolicy
    manifest: Manifest
    started_s: float
    after: bytes | None = None
    notes: Path | None = None  # a directory of the dataset's own that outlives runs
    lacking: Lacking = NOTHING  # entries that have less than is preserved
    folds_by: Probe | None = None  # what tells which names the target takes for one
    aside: Aside = field(default_factory=Aside)  # filled in while it is listed


def notes_of(dataset: str) -> Path:
    """Return the directory of what is remembered of a dataset's listings."""
    return home() / NOTES / dataset


def selection_of(filters: Filters, now_s: float) -> Selection:
    """Turn the ages of a form into times; `now_s` is the start of the run."""

    def before(age_s: float | None) -> int | None:
        return None if age_s is None else int(now_s - age_s)

    return Selection(
        rules=filters.rules,
        min_size=filters.min_size,
        max_size=filters.max_size,
        newest_mtime_s=before(filters.min_age),
        oldest_mtime_s=before(filters.max_age),
        newest_atime_s=before(filters.min_atime_age),
        oldest_atime_s=before(filters.max_atime_age),
        one_file_system=filters.one_file_system,
    )


def discover(site: Site) -> Iterator[Wave]:
    """Yield the waves that are left to do: those sealed before, then new ones."""
    yield from _unfinished_waves(site, Pass.COPY, 0)
    if site.run.discovered:
        site.meter.finished_listing = True
        return
    ends = Ends(
        site.pair,
        site.policy,
        Manifest(site.catalog, site.run.base_manifest_id),
        site.run.started_at.timestamp(),
        site.run.listed_until,
        notes_of(site.dataset),
        lacking(
            site.catalog,
            site.run.dataset_id,
            site.policy,
            site.run.after_run,
            site.run.id,
        ),
        site.folds_by,
        site.aside,
    )
    delete_plans.outdate(site.catalog, site.run)
    sealer = Sealer(site, ledger.listed(site.catalog, site.run.id))
    intent, replacing = intent_of(ends), replacing_in(ends.pair, ends.manifest)
    shared = shared_in(site.catalog, site.dataset, site.pair)
    for difference in differences(ends, site.workspace / "spool"):
        site.check()
        whole = replacing.marked(plan(difference, intent))
        page = limited(shared.marked(whole), site.policy)
        sealer.add(page, difference.unreadable)
        if sealer.is_due():
            yield from sealer.seal(finished=False)
    site.meter.finished_listing = True
    yield from sealer.seal(finished=True)


def _unfinished_waves(site: Site, pass_: Pass, round_: int) -> Iterator[Wave]:
    """Yield what an earlier part of this run sealed and did not finish."""
    ready = ledger.listed(
        site.catalog, site.run.id, pass_=pass_, round_=round_, states=[ShardState.READY]
    )
    for number, shards in groupby(ready, key=lambda shard: shard.wave):
        yield Wave(f"copy wave {number} again", tuple(shards))


def intent_of(ends: Ends) -> Intent:
    """Return the part of the policy by which differences become actions."""
    policy = ends.policy
    return Intent(
        uncompared=_UNCOMPARED.get(policy.compare, Aspect.NOTHING),
        always_check=policy.compare is Compare.CHECKSUM,
        always_copy=policy.compare is Compare.ALWAYS,
        proves_content=policy.verify is Verify.CHECKSUM,
        versioned=ends.pair.source.is_bucket,
        keyed=ends.pair.source.is_bucket and ends.pair.target.is_bucket,
        kinds=_made_kinds(policy),
    )


def _made_kinds(policy: Policy) -> tuple[Kind, ...]:
    kinds = [Kind.FILE, Kind.DIR, Kind.SYMLINK]
    kinds += SPECIALS if Preserve.SPECIALS in policy.preserve else ()
    kinds += DEVICES if Preserve.DEVICES in policy.preserve else ()
    return tuple(kinds)


def differences(ends: Ends, spool: Path) -> Iterator[Difference]:
    """Yield the differences of source and target, page by page, in canonical order.

    Without a manifest the target itself is listed, if it has anything.
    """
    policy, pair = ends.policy, ends.pair
    selection = selection_of(policy.filters, ends.started_s)
    first = ends.manifest.entries == 0 and pair.has_entries(pair.target)
    with ExitStack() as stack:
        source = stack.enter_context(listers_of(ends, pair.source, selection, spool))
        known: Iterable[pa.Table] = _behind(ends.manifest, ends.after)
        if first:
            target = stack.enter_context(listers_of(ends, pair.target, None, spool))
            known = map(_as_known, target.pieces(ends.after))
        against = Against(
            known,
            selection.still_covers,
            proof=_PROOF.get(policy.verify, Verified.NONE),
            adopted=first,
            versioned=pair.source.is_bucket,
            asked=tuple(Kind) if ends.lacking.every else _ASKED.get(policy.compare, ()),
            asked_links=ends.lacking.linked,
            asked_paths=ends.lacking.some,
            links=Preserve.LINKS in policy.preserve and not pair.has_bucket,
            joins=pair.rejoins,
            spellings=spellings_of(ends) if ends.folds_by else None,
            mounts=None if first else _mounts(ends, spool.parent),
        )
        yield from compare(_readable(ends, source.pieces(ends.after)), against)
        ends.aside.note_decided(source.decided)


def _mounts(ends: Ends, workspace: Path) -> Mounts | None:
    """Return what holds back entries below mount points that are away."""
    source = ends.pair.source
    if source.is_bucket or ends.policy.allow_empty_source:
        return None
    noted = workspace / UNREADABLE_FILE
    return mounts_of(source.url, ends.manifest, ends.after, noted)


def spellings_of(ends: Ends) -> Spellings:
    """Return what refuses the later one of names that the target takes for one.

    A run that goes on looks up the names that it has listed before.
    """
    assert ends.folds_by is not None
    above = []
    after = ends.after or b""
    if after and not ends.pair.source.is_bucket:
        root = Descent(ends.pair.source.url)
        for end in [0, *(at + 1 for at, byte in enumerate(after) if byte == _SLASH)]:
            with suppress(FileNotFoundError, NotADirectoryError):
                names = map(os.fsencode, os.listdir(root.open(after[:end])))
                below = after[end:].partition(b"/")[0]
                seen = sorted(name for name in names if name <= below)
                above.append((after[:end], seen))
        root.close()
    return Spellings(ends.folds_by.are_one, above)


def listers_of(
    ends: Ends, place: Place, selection: Selection | None, spool: Path
) -> Listers:
    """Prepare the listers of one end; the target is listed without a selection."""
    end = "source" if selection else "target"
    if ends.notes:
        make_directory(ends.notes)
        tighten(ends.notes.parent)
    if selection:  # after what is made here, which may be in the source
        shut = shut_in(ends.manifest.catalog, ends.pair.target)
        selection = replace(selection, shut=shut)
    return Listers(
        place,
        _wire(selection) if selection else {},
        count=ends.policy.listers,
        spool=spool / end,
        for_files=selection is not None and not ends.pair.target.is_bucket,
        environ=ends.pair.secrets,
        disorder=ends.notes / f"{end}-out-of-order" if ends.notes else None,
    )


def _wire(selection: Selection) -> dict[str, object]:
    fields = asdict(selection)
    del fields["compiled"]
    return fields


def _readable(
    ends: Ends, pieces: Iterator[pa.Table | Unreadable]
) -> Iterator[pa.Table | Unreadable]:
    """Pass pieces on; a root that can not be listed ends the run."""
    for piece in pieces:
        if isinstance(piece, Unreadable) and not piece.path:
            raise FatalError(
                f"{ends.pair.source.url}: can not be listed: "
                f"{piece.reason or os.strerror(piece.errno)}; see its permissions and "
                f"mount, then resume"
            )
        if isinstance(piece, Unreadable) and piece.left_out:
            if piece.errno == errno.ELOOP:
                ends.aside.leave_out_own(piece.path)
            else:
                ends.aside.leave_out(piece.path)
        yield piece


def _as_known(piece: pa.Table | Unreadable) -> pa.Table:
    """Give a listing of the target the manifest's columns, as nothing that we made."""
    if isinstance(piece, Unreadable):
        return MANIFEST.empty_table()
    rows = piece.num_rows
    return pa.table(
        [
            *piece.columns,
            pa.nulls(rows, MANIFEST.field("checksum").type),
            pa.array(np.zeros(rows, np.uint8)),
            pa.array(np.zeros(rows, np.bool_)),
            piece["etag"],
        ],
        schema=MANIFEST,
    )


def _behind(manifest: Manifest, after: bytes | None) -> Iterator[pa.Table]:
    """Yield the manifest's entries that come after `after`."""
    for ref in manifest.pages:
        if after is not None and ref.last <= after:
            continue
        table = manifest.read(ref)
        if after is not None and ref.first <= after:
            later = np.fromiter(
                (path > after for path in table["path"].to_pylist()), np.bool_
            )
            table = table.filter(pa.array(later))
        yield table


def now_s() -> float:
    """Return the time that a plan without a run counts ages from."""
    return time.time()
