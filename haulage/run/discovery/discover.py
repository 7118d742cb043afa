"""List the source, compare it with what is known of the target, and plan."""

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

from haulage.catalog.db.engine import home
from haulage.catalog.deletes import delete_plans
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import shards as ledger
from haulage.config.policy import Compare, Filters, Policy, RunPolicy, Verify
from haulage.errors import FatalError
from haulage.launch.listers.pool import Listers
from haulage.model import (
    DEVICES,
    MANIFEST,
    SPECIALS,
    Kind,
    Pass,
    Preserve,
    Verified,
)
from haulage.place import Place
from haulage.planning.actions import Intent, plan
from haulage.planning.changed_fields import Against, Field
from haulage.planning.difference import Difference
from haulage.planning.listing.colliding_names import Spellings
from haulage.planning.listing.mounts import Mounts
from haulage.planning.listing.selection import Selection
from haulage.planning.match_listing import compare
from haulage.private import make_directory, tighten
from haulage.run.context.endpoints import Pair
from haulage.run.context.notes import ListingNotes
from haulage.run.context.run_context import RunContext
from haulage.run.context.state_directory import NOTES, shut_in
from haulage.run.discovery.lacking_attributes import NOTHING, Lacking, lacking
from haulage.run.discovery.mounts import mounts_of
from haulage.run.discovery.replaced_objects import replacing_in
from haulage.run.discovery.sealer import Sealer
from haulage.run.discovery.shared_target import shared_in
from haulage.run.discovery.steps import limited
from haulage.run.sharding.outcomes import ready
from haulage.run.sharding.seal import UNREADABLE_FILE
from haulage.run.sharding.waves import Wave
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.filesystem.spelling import Probe
from haulage.storage.tree.listing.walk import Unreadable

_ASKED = {
    Compare.CHECKSUM: (Kind.FILE,),
    Compare.ALWAYS: tuple(Kind),
}
# What tells of other content, but does not count.
_UNCOMPARED = {
    Compare.MTIME: Field.INODE | Field.CTIME,
    Compare.SIZE: Field.INODE | Field.CTIME | Field.TIME | Field.RACY,
}
_SLASH = 0x2F
_PROOF = {Verify.METADATA: Verified.METADATA, Verify.CHECKSUM: Verified.CHECKSUM}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What discovery compares: a source, a target, the manifest, and the rules."""

    pair: Pair
    policy: RunPolicy
    manifest: Manifest
    started_s: float
    after: bytes | None = None
    notes: Path | None = None  # a directory of the dataset's own that outlives runs
    lacking: Lacking = NOTHING  # entries that have less than is preserved
    folds_by: Probe | None = None  # what tells which names the target takes for one
    listing_notes: ListingNotes = field(
        default_factory=ListingNotes
    )  # filled in while it is listed


def notes_of(dataset: str) -> Path:
    """Return the directory that keeps facts about a dataset's listings between runs."""
    return home() / NOTES / dataset


def selection_of(filters: Filters, now_s: float) -> Selection:
    """Turn the ages of a policy into times; `now_s` is the start of the run."""

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


def discover(context: RunContext) -> Iterator[Wave]:
    """Yield the waves left to do: those sealed before, then new ones."""
    yield from _unfinished_waves(context)
    if context.run.discovered:
        context.progress.finished_listing = True
        return
    comparison = Comparison(
        context.pair,
        context.policy,
        Manifest(context.catalog, context.run.base_manifest_id),
        context.run.started_at.timestamp(),
        context.run.listed_until,
        notes_of(context.dataset),
        lacking(
            context.catalog,
            context.run.dataset_id,
            context.policy,
            context.run.after_run,
            context.run.id,
        ),
        context.folds_by,
        context.listing_notes,
    )
    delete_plans.outdate(context.catalog, context.run)
    sealer = Sealer(context, ledger.listed(context.catalog, context.run.id))
    intent, replacing = (
        intent_of(comparison),
        replacing_in(comparison.pair, comparison.manifest),
    )
    shared = shared_in(context.catalog, context.dataset, context.pair)
    for difference in differences(comparison, context.workspace / "spool"):
        context.check()
        whole = replacing.marked(plan(difference, intent))
        page = limited(shared.marked(whole), context.policy)
        sealer.add(page, difference.unreadable)
        if sealer.is_due():
            yield from sealer.seal(finished=False)
    context.progress.finished_listing = True
    yield from sealer.seal(finished=True)


def _unfinished_waves(context: RunContext) -> Iterator[Wave]:
    """Yield the waves that an earlier part of this run sealed and did not finish."""
    left = ready(context, Pass.COPY, 0)
    for number, shards in groupby(left, key=lambda shard: shard.wave):
        yield Wave(f"copy wave {number} again", tuple(shards))


def intent_of(comparison: Comparison) -> Intent:
    """Return the part of the policy that turns differences into actions."""
    policy = comparison.policy
    return Intent(
        uncompared=_UNCOMPARED.get(policy.compare, Field.NOTHING),
        always_check=policy.compare is Compare.CHECKSUM,
        always_copy=policy.compare is Compare.ALWAYS,
        proves_content=policy.verify is Verify.CHECKSUM,
        versioned=comparison.pair.source.is_bucket,
        keyed=comparison.pair.source.is_bucket and comparison.pair.target.is_bucket,
        kinds=_made_kinds(policy),
    )


def _made_kinds(policy: Policy) -> tuple[Kind, ...]:
    kinds = [Kind.FILE, Kind.DIR, Kind.SYMLINK]
    kinds += SPECIALS if Preserve.SPECIALS in policy.preserve else ()
    kinds += DEVICES if Preserve.DEVICES in policy.preserve else ()
    return tuple(kinds)


def differences(comparison: Comparison, spool: Path) -> Iterator[Difference]:
    """Yield the differences of source and target, page by page, in canonical order.

    Without a manifest the target itself is listed, if it has any entry.
    """
    policy, pair = comparison.policy, comparison.pair
    selection = selection_of(policy.filters, comparison.started_s)
    first = comparison.manifest.entries == 0 and pair.has_entries(pair.target)
    with ExitStack() as stack:
        source = stack.enter_context(
            listers_of(comparison, pair.source, selection, spool)
        )
        known: Iterable[pa.Table] = _behind(comparison.manifest, comparison.after)
        if first:
            target = stack.enter_context(
                listers_of(comparison, pair.target, None, spool)
            )
            known = map(_as_known, target.pieces(comparison.after))
        against = Against(
            known,
            selection.still_covers,
            proof=_PROOF.get(policy.verify, Verified.NONE),
            adopted=first,
            versioned=pair.source.is_bucket,
            asked=tuple(Kind)
            if comparison.lacking.every
            else _ASKED.get(policy.compare, ()),
            asked_links=comparison.lacking.linked,
            asked_paths=comparison.lacking.some,
            links=Preserve.LINKS in policy.preserve and not pair.has_bucket,
            joins=pair.rejoins,
            spellings=spellings_of(comparison) if comparison.folds_by else None,
            mounts=None if first else _mounts(comparison, spool.parent),
        )
        yield from compare(
            _readable(comparison, source.pieces(comparison.after)), against
        )
        comparison.listing_notes.note_decided(source.decided)


def _mounts(comparison: Comparison, workspace: Path) -> Mounts | None:
    """Return the watch that holds back entries below unmounted mount points."""
    source = comparison.pair.source
    if source.is_bucket or comparison.policy.allow_empty_source:
        return None
    noted = workspace / UNREADABLE_FILE
    return mounts_of(source.url, comparison.manifest, comparison.after, noted)


def spellings_of(comparison: Comparison) -> Spellings:
    """Return the check that refuses all but the first of names the target folds.

    A resumed run looks up the names that it has listed before.
    """
    assert comparison.folds_by is not None
    above = []
    after = comparison.after or b""
    if after and not comparison.pair.source.is_bucket:
        root = Descent(comparison.pair.source.url)
        for end in [0, *(at + 1 for at, byte in enumerate(after) if byte == _SLASH)]:
            with suppress(FileNotFoundError, NotADirectoryError):
                names = map(os.fsencode, os.listdir(root.open(after[:end])))
                below = after[end:].partition(b"/")[0]
                seen = sorted(name for name in names if name <= below)
                above.append((after[:end], seen))
        root.close()
    return Spellings(comparison.folds_by.are_one, above)


def listers_of(
    comparison: Comparison, place: Place, selection: Selection | None, spool: Path
) -> Listers:
    """Prepare the listers of one endpoint; the target is listed without filters."""
    end = "source" if selection else "target"
    if comparison.notes:
        make_directory(comparison.notes)
        tighten(comparison.notes.parent)
    if selection:  # after what is made here, which may be in the source
        shut = shut_in(comparison.manifest.catalog, comparison.pair.target)
        selection = replace(selection, shut=shut)
    return Listers(
        place,
        _wire(selection) if selection else {},
        count=comparison.policy.listers,
        spool=spool / end,
        for_files=selection is not None and not comparison.pair.target.is_bucket,
        environ=comparison.pair.secrets,
        disorder=comparison.notes / f"{end}-out-of-order" if comparison.notes else None,
    )


def _wire(selection: Selection) -> dict[str, object]:
    fields = asdict(selection)
    del fields["compiled"]
    return fields


def _readable(
    comparison: Comparison, pieces: Iterator[pa.Table | Unreadable]
) -> Iterator[pa.Table | Unreadable]:
    """Pass pieces on; a root that cannot be listed ends the run."""
    for piece in pieces:
        if isinstance(piece, Unreadable) and not piece.path:
            raise FatalError(
                f"{comparison.pair.source.url}: cannot be listed: "
                f"{piece.reason or os.strerror(piece.errno)}; check its permissions "
                "and mount, then resume"
            )
        if isinstance(piece, Unreadable) and piece.left_out:
            if piece.errno == errno.ELOOP:
                comparison.listing_notes.leave_out_own(piece.path)
            else:
                comparison.listing_notes.leave_out(piece.path)
        yield piece


def _as_known(piece: pa.Table | Unreadable) -> pa.Table:
    """Give a listing of the target the manifest's columns, as entries of others."""
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
    """Return the time from which a dry run counts ages."""
    return time.time()
