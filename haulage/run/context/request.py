"""What is there before a run: the catalog, and what is asked for."""

from dataclasses import dataclass

from haulage.catalog.db.engine import Catalog
from haulage.config.policy import NOTHING_ONCE, Dataset, Once, RunPolicy, for_one_run
from haulage.run.context.endpoints import Pair


@dataclass(frozen=True, slots=True)
class Request:
    """A dataset as a run is to do it, and both of its ends.

    Where it `stands`, the dataset is recorded so with the run that begins.
    """

    catalog: Catalog
    dataset: Dataset
    pair: Pair
    once: Once = NOTHING_ONCE
    stands: bool = False

    @property
    def policy(self) -> RunPolicy:
        """Return what a run that begins now does."""
        return for_one_run(self.dataset.policy, self.once)
