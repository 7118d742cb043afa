"""Finds the names that came from a bucket apart, and belong to one file."""

from collections.abc import Iterator

import pyarrow as pa

from haulage.catalog.manifests import Manifest, PageRef
from haulage.ops.rejoin import KIN, as_kin, rejoined
from haulage.ops.rows import is_linked
from haulage.stages.overlay import stretches
from haulage.stages.rounds import MAKES, done, outcomes_of
from haulage.stages.site import Site
from haulage.storage.disksort import ENTRY_ROWS, DiskSort

_LOOKED_AT = ["kind", "nlink"]


def links_again(site: Site) -> Iterator[pa.Table]:
    """Yield the links that make names one file again.

    A run that has met no such name looks at nothing more.
    """
    if not _has_any(site):
        return
    spool = site.workspace / "links" / "sort" / "kin"
    kin = DiskSort(spool, KIN, "key", run_rows=ENTRY_ROWS)
    for entries in _entries(site):
        kin.add(as_kin(entries))
    yield from rejoined(kin.tables())


def _has_any(site: Site) -> bool:
    return any(
        is_linked(outcomes_of(site, shard, _LOOKED_AT)).any()
        for pass_ in MAKES
        for shard in done(site, pass_)
    )


def _entries(site: Site) -> Iterator[pa.Table]:
    """Yield what the target holds by now, but for pages without any such name."""
    manifest = Manifest(site.catalog, site.run.base_manifest_id)
    for stretch in stretches(site):
        if not isinstance(stretch, PageRef):
            yield stretch.merged.entries
        elif is_linked(manifest.read(stretch, _LOOKED_AT)).any():
            yield manifest.read(stretch)
