"""Find trashes in a target whose runs the catalog does not know."""

from itertools import islice

from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.deletes import trashes
from haulage.errors import sort_os_error
from haulage.run.context.endpoints import pair_of
from haulage.storage.tree.trash.move import runs_in

MOST = 20
_AT_ONCE = 500


def unknown_trash(catalog: Catalog, row: DatasetRow) -> list[str]:
    """Return some runs that cannot be undone, and whose trash no run will empty.

    Their catalog was another one, or was replaced by an older copy.
    """
    target = pair_of(row.dataset).target
    found: list[str] = []
    if target.is_bucket:
        return found
    there = runs_in(target.url)
    try:
        while len(found) < MOST and (some := list(islice(there, _AT_ONCE))):
            found += trashes.unknown(catalog, some)
    except OSError as err:
        raise sort_os_error(err, target.url) from err
    return sorted(found)[:MOST]
