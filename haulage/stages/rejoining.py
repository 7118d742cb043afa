"""Finds the names that came from a bucket apart, and belong to one file."""

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.manifests import Manifest, PageRef
from haulage.model import Pass
from haulage.ops.rejoin import KIN, are_named_twice, as_kin, rejoined
from haulage.stages.overlay import stretches
from haulage.stages.rounds import done, outcomes_of
from haulage.stages.site import Site
from haulage.storage.disksort import DiskSort

_SORTED_ROWS = 50_000  # in memory at once, with all that is known of an entry
_MAKES = (Pass.COPY, Pass.PUBLISH)
_LOOKED_AT = ["kind", "nlink"]


def links_again(site: Site, only: Collection[bytes] | None) -> Iterator[pa.Table]:
    """Yield the links that make names one file again, of all or of `only` some.

    A run that has met no such name looks at nothing more.
    """
    if not _has_any(site):
        return
    spool = site.workspace / "links" / "sort" / "kin"
    kin = DiskSort(spool, KIN, "key", run_rows=_SORTED_ROWS)
    for entries in _entries(site):
        kin.add(as_kin(entries))
    for links in rejoined(kin.tables()):
        if only is None:
            yield links
        else:
            wanted = pa.array(sorted(only), pa.binary())
            yield links.filter(pc.is_in(links["path"], wanted))


def _has_any(site: Site) -> bool:
    return any(
        are_named_twice(outcomes_of(site, shard, _LOOKED_AT)).any()
        for pass_ in _MAKES
        for shard in done(site, pass_)
    )


def _entries(site: Site) -> Iterator[pa.Table]:
    """Yield what the target holds by now, but for pages without any such name."""
    manifest = Manifest(site.catalog, site.run.base_manifest_id)
    for stretch in stretches(site):
        if not isinstance(stretch, PageRef):
            yield stretch.merged.entries
        elif are_named_twice(manifest.read(stretch, _LOOKED_AT)).any():
            yield manifest.read(stretch)
