"""Removes what the catalog no longer needs, after a run has ended."""

import logging

from haulage.catalog.engine import Catalog
from haulage.catalog.pruning import prune_manifests
from haulage.launch.base import STOP

_log = logging.getLogger(__name__)


def clear_away(catalog: Catalog, dataset_id: int) -> None:
    """Remove old versions of the dataset's manifest, and pages that are in none.

    The run is over: whatever fails or stops this changes nothing of that, and the next
    run goes on with it.
    """
    try:
        for _ in prune_manifests(catalog, dataset_id):
            if STOP.is_set():
                return
    except (Exception, KeyboardInterrupt) as err:  # noqa: BLE001  see above
        reason = str(err) or type(err).__name__
        _log.warning("old versions stay in the catalog until the next run: %s", reason)
