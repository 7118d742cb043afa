"""A run's request: the catalog, the dataset, and both endpoints."""

from dataclasses import dataclass

from haulage.catalog.db.engine import Catalog
from haulage.config.policy import NOTHING_ONCE, Dataset, Once, RunPolicy, for_one_run
from haulage.run.context.endpoints import Pair


@dataclass(frozen=True, slots=True)
class Request:
    """A dataset as a run is to sync it, and both of its endpoints.

    If it `stands`, the dataset is recorded in this form when the run starts.
    """

    catalog: Catalog
    dataset: Dataset
    pair: Pair
    once: Once = NOTHING_ONCE
    stands: bool = False

    @property
    def policy(self) -> RunPolicy:
        """Return the policy of a run that starts now."""
        return for_one_run(self.dataset.policy, self.once)
