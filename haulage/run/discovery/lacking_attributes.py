"""Find entries whose attributes predate a widened `--preserve`.

Entries that are unchanged by the manifest are not examined, so a run that preserves
more than those before it asks for every entry, once. Entries that such a run left out,
or failed to do, would lack the attribute for ever. This module finds them from the runs
in the catalog.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from haulage.catalog import failures
from haulage.catalog.db.engine import Catalog
from haulage.catalog.retention import has_forgotten
from haulage.catalog.runs import runs
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.lineage import UNKNOWN
from haulage.catalog.runs.runs import Run, RunState
from haulage.catalog.runs.shards import ShardState
from haulage.config.policy import Filters, RunPolicy, Step
from haulage.model import Preserve
from haulage.planning.path_ranges import (
    NO_SPANS,
    Span,
    Spans,
    alone,
    below,
    between,
    spans,
)

# What an entry that the manifest calls unchanged may lack in the target.
_TRUSTED = "trusted metadata"
_OF_EACH_ENTRY: frozenset[str] = frozenset(
    {
        *(Preserve.MODE, Preserve.OWNER, Preserve.TIMES),
        *(Preserve.XATTRS, Preserve.ACLS, _TRUSTED),
    }
)
_MADE_APART = frozenset({Preserve.SPECIALS, Preserve.DEVICES})
_SETS = frozenset({Step.COPY, Step.DIRS})  # attributes
_MOST_FAILURES = 100_000  # held in memory; with more, every entry is looked at
_MOST_RUNS = 1000  # that are looked back on; behind them anything may be lacking
_NOT_FAILED = ("kept", "lost")  # what a delete left, and what the target cannot hold


@dataclass(frozen=True, slots=True)
class Lacking:
    """Which entries may lack an attribute, whatever the manifest says of them."""

    every: bool = False
    linked: bool = False  # all that have more names than one
    some: Spans = NO_SPANS


NOTHING = Lacking()


def lacking(
    catalog: Catalog,
    dataset_id: int,
    policy: RunPolicy,
    after_run: str | None,
    run_id: str | None = None,
) -> Lacking:
    """Return the entries that earlier runs did not give all that `policy` preserves.

    Those runs worked on the target that `after_run` left, up to the last one that
    examined everything the policy's filters include; `run_id` is not earlier.
    """
    wanted = (_OF_EACH_ENTRY | {Preserve.LINKS}) & _given_by(policy)
    missing: set[str] = set()
    earlier = islice(_earlier(catalog, dataset_id, after_run, run_id), _MOST_RUNS)
    seen = 0
    for run in earlier:
        if run is None:
            return Lacking(every=True)
        missing |= wanted - _given_by(run.policy)
        if missing & _OF_EACH_ENTRY:
            return Lacking(every=True)
        if _is_whole(run, policy, wanted):
            undone: list[Span] = []
            since = chain([run], earlier)
            if _has_undone(since, policy, wanted) or has_forgotten(catalog, dataset_id):
                undone = _undone(catalog, run)
            if _has_unlisted(run) or len(undone) > _MOST_FAILURES:
                return Lacking(every=True)
            return Lacking(linked=bool(missing), some=spans(undone))
        seen += 1
    is_cut = seen == _MOST_RUNS or has_forgotten(catalog, dataset_id)
    return Lacking(every=is_cut, linked=bool(missing))


def _given_by(policy: RunPolicy) -> frozenset[str]:
    """Return the attributes, or metadata, that a policy copies from the source."""
    trusted = {_TRUSTED} if policy.trust_metadata else set[str]()
    return frozenset(policy.preserve) | trusted


def _earlier(
    catalog: Catalog, dataset_id: int, after_run: str | None, run_id: str | None
) -> Iterator[Run | None]:
    """Yield the runs that set attributes of what they listed, newest first.

    Runs on another target than this one are skipped. None comes last if it is unknown
    who set the attributes before.
    """
    if after_run == UNKNOWN:
        yield None
        return
    for run in runs.all_of(catalog, dataset_id):
        if run.id == run_id or (after_run and run.manifest_id and run.id != after_run):
            continue
        if run.listed_until is not None and _SETS.intersection(run.policy.steps):
            yield run
        if run.id == after_run:
            after_run = run.after_run
            if after_run == UNKNOWN:
                yield None
                return


def _is_whole(run: Run, policy: RunPolicy, wanted: frozenset[str]) -> bool:
    """Tell whether a run examined everything that the filters of `policy` include.

    Equal filters left out then what they leave out now; so did steps, and kinds that
    are copied only on request.
    """
    was = run.policy
    return (
        run.state is RunState.DONE
        and was.filters in (Filters(), policy.filters)
        and _SETS.intersection(policy.steps) <= set(was.steps)
        and _MADE_APART.intersection(policy.preserve) <= set(was.preserve)
        and wanted <= _given_by(was)
    )


def _has_undone(
    since: Iterator[Run | None], policy: RunPolicy, wanted: frozenset[str]
) -> bool:
    """Tell whether failed entries may lack an attribute since a run preserving less."""
    for run in since:
        if run is None or not wanted <= _given_by(run.policy):
            return True
        if _is_whole(run, policy, wanted) and not (run.summary or {}).get("failed"):
            return False
    return False


def _has_unlisted(run: Run) -> bool:
    """Tell whether a run had more failures than the catalog lists."""
    return bool((run.summary or {}).get("unlisted"))


def _undone(catalog: Catalog, run: Run) -> list[Span]:
    """Return a run's failures as spans: entries, unread directories, lost shards."""
    found: list[Span] = []
    for failure in failures.of_run(catalog, run.id, _MOST_FAILURES + 1):
        if failure.status not in _NOT_FAILED:
            found.append(alone(failure.path))
        if failure.verb == "list":
            found.append(below(failure.path))
    dead = ledger.listed(catalog, run.id, states=[ShardState.FAILED])
    return [*found, *(between(shard.first, shard.last) for shard in dead)]
