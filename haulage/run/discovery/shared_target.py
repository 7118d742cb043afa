"""Never delete what another dataset has in the same target.

An entry that both had and both lost stays: neither dataset may delete it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog.db.engine import Catalog
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import sharing
from haulage.planning.actions import Plan
from haulage.run.context.endpoints import Pair


@dataclass(frozen=True, slots=True)
class _Other:
    """Another dataset's manifest.

    `above` leads from its root to ours, or `below` from ours to its root.
    """

    manifest: Manifest
    above: bytes
    below: bytes

    def has(self, paths: list[bytes]) -> np.ndarray:
        """Tell which of our paths, in canonical order, are entries of it."""
        found = np.zeros(len(paths), np.bool_)
        rows = [at for at, path in enumerate(paths) if path.startswith(self.below)]
        theirs = [self.above + paths[at][len(self.below) :] for at in rows]
        if not theirs:
            return found
        wanted = pa.array(theirs, pa.binary())
        for page in self.manifest.pages:
            if page.last < theirs[0] or page.first > theirs[-1]:
                continue
            known = self.manifest.read(page, ["path"])["path"].combine_chunks()
            found[rows] |= pc.is_in(wanted, known).to_numpy(zero_copy_only=False)
        return found


@dataclass(frozen=True, slots=True)
class Shared:
    """The other datasets' entries in the target; one page of them in memory."""

    others: tuple[_Other, ...] = ()

    def marked(self, plan: Plan) -> Plan:
        """Leave out of a plan's deletes what another dataset has as well."""
        if not self.others or not plan.deletes.num_rows:
            return plan
        return replace(plan, deletes=self.without(plan.deletes))

    def without(self, gone: pa.Table) -> pa.Table:
        """Leave out what another dataset has as well."""
        for other in self.others:
            if gone.num_rows:
                has = other.has(gone["path"].to_pylist())
                gone = gone.filter(pa.array(~has))
        return gone


def shared_in(catalog: Catalog, dataset: str, pair: Pair) -> Shared:
    """Return the entries of other datasets in or around a pair's target."""
    others = sharing.around(catalog, dataset, pair.target)
    return Shared(
        tuple(
            _Other(Manifest(catalog, other.manifest_id), other.above, other.below)
            for other in others
        )
    )
