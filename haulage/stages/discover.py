"""Lists the source, compares it with what is known of the target, and plans."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa

from haulage.catalog import shards as ledger
from haulage.catalog.manifests import Manifest
from haulage.catalog.shards import ShardState
from haulage.errors import FatalError, RefusedError
from haulage.launch.listers import Listers
from haulage.model import MANIFEST, Kind, Pass, Verified
from haulage.ops.compare import Against, Difference, compare
from haulage.ops.listing import Selection
from haulage.ops.plan import Intent, plan
from haulage.policy import Compare, Filters, Policy, Verify
from haulage.stages.sealing import Sealer
from haulage.stages.site import Site
from haulage.stages.wave import Wave
from haulage.storage.walk import Unreadable

_ASKED = {
    Compare.CHECKSUM: (Kind.FILE,),
    Compare.ALWAYS: (Kind.FILE, Kind.DIR, Kind.SYMLINK),
}
_PROOF = {Verify.METADATA: Verified.METADATA, Verify.CHECKSUM: Verified.CHECKSUM}


@dataclass(frozen=True, slots=True)
class Ends:
    """What discovery compares: a source, a target, the manifest, and the rules."""

    source: str
    target: str
    policy: Policy
    manifest: Manifest
    started_s: float
    after: bytes | None = None


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
    known = ledger.listed(site.catalog, site.run.id)
    yield from _unfinished_waves(site, Pass.COPY, 0)
    if site.run.discovered:
        site.meter.finished_listing = True
        return
    ends = Ends(
        site.row.dataset.source,
        site.row.dataset.target,
        site.policy,
        Manifest(site.catalog, site.run.base_manifest_id),
        site.run.started_at.timestamp(),
        site.run.listed_until,
    )
    sealer = Sealer(site, known)
    intent = intent_of(site.policy)
    for difference in differences(ends, site.workspace / "spool"):
        site.check()
        sealer.add(plan(difference, intent), difference.unreadable)
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


def intent_of(policy: Policy) -> Intent:
    """Return the part of the policy by which differences become actions."""
    return Intent(
        size_only=policy.compare is Compare.SIZE,
        always_check=policy.compare is Compare.CHECKSUM,
        always_copy=policy.compare is Compare.ALWAYS,
        proves_content=policy.verify is Verify.CHECKSUM,
    )


def differences(ends: Ends, spool: Path) -> Iterator[Difference]:
    """Yield the differences of source and target, page by page, in canonical order.

    Without a manifest the target itself is listed, if it has anything.
    """
    policy = ends.policy
    selection = selection_of(policy.filters, ends.started_s)
    first = ends.manifest.entries == 0 and _has_entries(ends.target)
    with ExitStack() as stack:
        source = stack.enter_context(
            Listers(
                ends.source,
                _wire(selection),
                count=policy.listers,
                spool=spool / "source",
            )
        )
        known: Iterable[pa.Table] = _behind(ends.manifest, ends.after)
        if first:
            target = stack.enter_context(
                Listers(ends.target, {}, count=policy.listers, spool=spool / "target")
            )
            known = map(_as_known, target.pieces(ends.after))
        against = Against(
            known,
            selection.still_covers,
            proof=_PROOF.get(policy.verify, Verified.NONE),
            adopted=first,
            asked=_ASKED.get(policy.compare, ()),
        )
        yield from compare(_readable(ends, source.pieces(ends.after)), against)


def _wire(selection: Selection) -> dict[str, object]:
    fields = asdict(selection)
    del fields["compiled"]
    return fields


def _has_entries(target: str) -> bool:
    try:
        with os.scandir(target) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False


def _readable(
    ends: Ends, pieces: Iterator[pa.Table | Unreadable]
) -> Iterator[pa.Table | Unreadable]:
    """Pass pieces on; a root that can not be listed ends the run."""
    for piece in pieces:
        if isinstance(piece, Unreadable) and not piece.path:
            raise FatalError(
                f"{ends.source}: can not be listed: {os.strerror(piece.errno)}; "
                f"see its permissions and mount, then resume"
            )
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


def check_not_emptied(ends: Ends) -> None:
    """Refuse an empty end where the manifest is not: it looks like a missing mount."""
    if ends.manifest.entries <= 1:
        return
    holds = (
        f"is empty, but the manifest has {ends.manifest.entries} entries; "
        f"is it mounted?"
    )
    if not ends.policy.allow_empty_source and not _has_entries(ends.source):
        raise RefusedError(
            f"source {ends.source} {holds} To go on all the same: --allow-empty-source"
        )
    if not ends.policy.allow_empty_target and not _has_entries(ends.target):
        raise RefusedError(
            f"target {ends.target} {holds} To fill it anew: --allow-empty-target"
        )


def starts_afresh(ends: Ends) -> bool:
    """Tell whether the manifest no longer says anything of the target."""
    return ends.manifest.entries > 1 and not _has_entries(ends.target)


def now_s() -> float:
    """Return the time that a plan without a run counts ages from."""
    return time.time()
