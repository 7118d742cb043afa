"""Removes what the catalog no longer needs, after a run has ended."""

import logging
from itertools import chain

from haulage.catalog.db.engine import Catalog
from haulage.catalog.manifests.pruning import prune_manifests
from haulage.catalog.retention import prune_results, prune_runs
from haulage.config.policy import Keep
from haulage.launch.launcher import STOP

_log = logging.getLogger(__name__)


def clear_away(catalog: Catalog, dataset_id: int, keep: Keep) -> None:
    """Remove old versions of the dataset's manifest, pages that are in none, runs that
    are older than `keep` says, and old results of flows.

    The run is over: whatever fails or stops this changes nothing of that, and the next
    run goes on with it.
    """
    try:
        old = (
            prune_manifests(catalog, dataset_id),
            prune_runs(catalog, dataset_id, keep),
            prune_results(catalog),
        )
        for _ in chain(*old):
            if STOP.is_set():
                return
    except (Exception, KeyboardInterrupt) as err:  # noqa: BLE001  see above
        reason = str(err) or type(err).__name__
        _log.warning("old records stay in the catalog until the next run: %s", reason)
