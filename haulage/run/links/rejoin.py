"""Link names again that arrived from a bucket separately and belong to one file."""

from collections.abc import Iterator

import pyarrow as pa

from haulage.catalog.manifests.reader import Manifest, PageRef
from haulage.disksort import ENTRY_ROWS, DiskSort
from haulage.planning.columns import is_linked
from haulage.run.context.run_context import RunContext
from haulage.run.links.rejoin_rules import KIN, as_kin, rejoined
from haulage.run.manifest.overlay import overlaid
from haulage.run.pass_order import MAKES
from haulage.run.sharding.outcomes import done, outcomes_of

_LOOKED_AT = ["kind", "nlink"]


def links_again(context: RunContext) -> Iterator[pa.Table]:
    """Yield the links that make names one file again.

    A run that listed no such name reads nothing more.
    """
    if not _has_any(context):
        return
    spool = context.workspace / "links" / "sort" / "kin"
    kin = DiskSort(spool, KIN, "key", run_rows=ENTRY_ROWS)
    for entries in _entries(context):
        kin.add(as_kin(entries))
    yield from rejoined(kin.tables())


def _has_any(context: RunContext) -> bool:
    return any(
        is_linked(outcomes_of(context, shard, _LOOKED_AT)).any()
        for pass_ in MAKES
        for shard in done(context, pass_)
    )


def _entries(context: RunContext) -> Iterator[pa.Table]:
    """Yield the target's present entries, except pages without any such name."""
    manifest = Manifest(context.catalog, context.run.base_manifest_id)
    for window in overlaid(context):
        if not isinstance(window, PageRef):
            yield window.merged.entries
        elif is_linked(manifest.read(window, _LOOKED_AT)).any():
            yield manifest.read(window)
