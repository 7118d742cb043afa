"""Tells what of the target lacks something that a policy preserves.

What the manifest calls unchanged is not looked at, so a run that preserves more than
those before it asks for every entry, once. Whatever such a run left out or failed in
would lack it for ever, so it is remembered here, by what the catalog keeps of runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from haulage.catalog import failures, runs
from haulage.catalog import shards as ledger
from haulage.catalog.engine import Catalog
from haulage.catalog.retention import has_forgotten
from haulage.catalog.runs import Run, RunState
from haulage.catalog.shards import ShardState
from haulage.model import Preserve
from haulage.ops.stretches import (
    NO_STRETCHES,
    Stretch,
    Stretches,
    alone,
    below,
    between,
    stretches,
)
from haulage.policy import Filters, Policy, Step

# What an entry that the manifest calls unchanged may lack in the target.
_TRUSTED = "trusted metadata"
_OF_EACH_ENTRY: frozenset[str] = frozenset(
    {
        *(Preserve.MODE, Preserve.OWNER, Preserve.TIMES),
        *(Preserve.XATTRS, Preserve.ACLS, _TRUSTED),
    }
)
_MOST_FAILURES = 100_000  # held in memory; with more, every entry is looked at
_NOT_FAILED = ("kept", "lost")  # what a delete left, and what the target can not hold


@dataclass(frozen=True, slots=True)
class Lacking:
    """Which entries may lack something, whatever the manifest says of them."""

    every: bool = False
    linked: bool = False  # all that have more names than one
    some: Stretches = NO_STRETCHES


NOTHING = Lacking()


def lacking(
    catalog: Catalog, dataset_id: int, policy: Policy, run_id: str | None = None
) -> Lacking:
    """Return what earlier runs did not give all that `policy` preserves.

    They are looked at up to the last one that looked at all that the policy's filters
    show; `run_id` is not earlier.
    """
    wanted = (_OF_EACH_ENTRY | {Preserve.LINKS}) & _given_by(policy)
    missing: set[str] = set()
    earlier = _earlier(catalog, dataset_id, run_id)
    for run in earlier:
        missing |= wanted - _given_by(run.policy)
        if missing & _OF_EACH_ENTRY:
            return Lacking(every=True)
        if _is_whole(run, policy, wanted):
            undone: list[Stretch] = []
            since = chain([run], earlier)
            if _has_undone(since, policy, wanted) or has_forgotten(catalog, dataset_id):
                undone = _undone(catalog, run)
            if _has_unlisted(run) or len(undone) > _MOST_FAILURES:
                return Lacking(every=True)
            return Lacking(linked=bool(missing), some=stretches(undone))
    return Lacking(every=has_forgotten(catalog, dataset_id), linked=bool(missing))


def _given_by(policy: Policy) -> frozenset[str]:
    """Return what entries have of their source, or of its metadata, by a policy."""
    trusted = {_TRUSTED} if policy.trust_metadata else set[str]()
    return frozenset(policy.preserve) | trusted


def _earlier(catalog: Catalog, dataset_id: int, run_id: str | None) -> Iterator[Run]:
    """Yield the runs that set attributes of what they listed, newest first."""
    for run in runs.all_of(catalog, dataset_id):
        is_listing = run.listed_until is not None and Step.COPY in run.policy.steps
        if run.id != run_id and is_listing:
            yield run


def _is_whole(run: Run, policy: Policy, wanted: frozenset[str]) -> bool:
    """Tell whether a run looked at all that the filters of `policy` show.

    Filters that were the same left out what they leave out now.
    """
    filters = run.policy.filters
    return (
        run.state is RunState.DONE
        and filters in (Filters(), policy.filters)
        and wanted <= _given_by(run.policy)
    )


def _has_undone(since: Iterator[Run], policy: Policy, wanted: frozenset[str]) -> bool:
    """Tell whether what failed may lack something since a run that preserved less."""
    for run in since:
        if not wanted <= _given_by(run.policy):
            return True
        if _is_whole(run, policy, wanted) and not (run.summary or {}).get("failed"):
            return False
    return False


def _has_unlisted(run: Run) -> bool:
    """Tell whether more failed in a run than the catalog has listed."""
    return bool((run.summary or {}).get("unlisted"))


def _undone(catalog: Catalog, run: Run) -> list[Stretch]:
    """Return what failed in a run: entries, unread directories, shards of the dead."""
    found: list[Stretch] = []
    for failure in failures.of_run(catalog, run.id, _MOST_FAILURES + 1):
        if failure.status not in _NOT_FAILED:
            found.append(alone(failure.path))
        if failure.verb == "list":
            found.append(below(failure.path))
    dead = ledger.listed(catalog, run.id, states=[ShardState.FAILED])
    return [*found, *(between(shard.first, shard.last) for shard in dead)]
