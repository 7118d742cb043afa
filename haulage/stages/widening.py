"""Tells whether a policy preserves more than the runs that made the target did."""

from haulage.catalog import runs
from haulage.catalog.engine import Catalog
from haulage.catalog.runs import RunState
from haulage.model import Preserve
from haulage.policy import Policy, Step

# What an entry that the manifest calls unchanged may lack in the target.
_OF_EACH_ENTRY = frozenset(
    {Preserve.MODE, Preserve.OWNER, Preserve.TIMES, Preserve.XATTRS, Preserve.ACLS}
)


def is_wider(
    catalog: Catalog, dataset_id: int, policy: Policy, run_id: str | None = None
) -> bool:
    """Tell whether attributes of every entry must be set, because earlier runs did not.

    Runs are looked at up to the last one that went through; `run_id` is not earlier.
    """
    wanted = _OF_EACH_ENTRY.intersection(policy.preserve)
    for run in runs.recent(catalog, dataset_id):
        if run.id == run_id or run.listed_until is None:
            continue
        if Step.COPY not in run.policy.steps:
            continue
        if wanted.difference(run.policy.preserve):
            return True
        if run.state is RunState.DONE:
            return False
    return False
