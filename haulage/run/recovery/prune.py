"""Remove what the catalog no longer needs, after a run has ended."""

import logging
from itertools import chain

from haulage.catalog.db.engine import Catalog
from haulage.catalog.manifests.pruning import prune_manifests
from haulage.catalog.retention import prune_results, prune_runs
from haulage.config.limits import Keep
from haulage.launch.launcher import STOP

_log = logging.getLogger(__name__)


def clear_away(catalog: Catalog, dataset_id: int, keep: Keep) -> None:
    """Remove old manifest versions, unused pages, old runs and old results of flows.

    `keep` says which runs are old. The run has ended: a failure or a stop here does not
    change its state, and the next run continues.
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
