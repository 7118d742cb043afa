"""The summary of a run that has ended."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from haulage.catalog import datasets
from haulage.catalog.manifests.reader import Manifest
from haulage.catalog.runs import shards as ledger
from haulage.catalog.runs.lineage import UNKNOWN, left_as
from haulage.catalog.runs.shards import ShardState
from haulage.catalog.runs.sharing import refuse_unshared
from haulage.config.policy import Delete, Step
from haulage.errors import FatalError
from haulage.model import Loss, Pass
from haulage.paths import shown
from haulage.run.context.request import Request
from haulage.run.context.run_context import RunContext
from haulage.run.context.runner import Summary
from haulage.run.discovery.discover import Comparison, now_s
from haulage.run.discovery.lacking_attributes import lacking
from haulage.run.discovery.shared_target import shared_in
from haulage.run.dry_run import Planned, planned
from haulage.run.guards.delete_caps import Gone, emptiness, needs_approval
from haulage.run.guards.recognition import Known, Looking, check_source, target_of
from haulage.run.manifest.commit import Ledger

PLANNED = "planned"  # the state of what only says what a run would do
_FIRST = 5  # paths that a note names
_LOSSES = {f"lost_{kind.name}".lower(): kind for kind in Loss}
_NOT_STATUSES = frozenset({"bytes", "lost", "checked", "checked_bytes", *_LOSSES})
_LOST_WHAT = {
    Loss.OWNER: "their owner (only root may give files away)",
    Loss.XATTR: "an attribute",
    Loss.ACL: "an ACL",
    Loss.CAPABILITY: "a capability",
    Loss.FLAGS: "a flag, immutable or append-only",
    Loss.MODE: "their mode (another user owns them)",
    Loss.TIME: (
        "their mtime (another user's file, or a time that the file system cannot hold)"
    ),
    Loss.LINK: "their hard link (they are separate files)",
    Loss.LAYOUT: "their layout on Lustre",
    Loss.UNTRUSTED: "what a bucket's metadata asks for (--trust-metadata believes it)",
    Loss.MARKER: "their attributes: the server stores no object for a directory",
}


def summary_of(context: RunContext, result: Ledger) -> Summary:
    """Return the summary of a run that has all its outcomes."""
    tally = tally_of(context)
    if result.unlisted:
        every = result.listed + result.unlisted
        context.notes.append(
            f"only the first {result.listed} of {every} failures are listed"
        )
    summary = _summary(context, tally, "done", result.failed, result.held)
    return replace(summary, unlisted=result.unlisted)


def stopped_summary(context: RunContext, state: str, reason: str) -> Summary:
    """Return the summary of a run that ended early."""
    context.notes.append(reason)
    context.notes.append(
        f"'haulage resume {context.run.id}' continues where it stopped"
    )
    return _summary(
        context, tally_of(context), state, 0, context.progress.counts["listed"]
    )


def _summary(
    context: RunContext, tally: Counter[str], state: str, failed: int, held: int
) -> Summary:
    counts = context.progress.counts
    fidelity = _fidelity(tally["lost"], held)
    if tally["lost"]:
        context.notes.append(_shown_fidelity(fidelity, tally))
    if counts["skipped"]:
        context.notes.append(f"{counts['skipped']} special files were left out")
    if counts["listed"] and context.progress.finished_listing:
        context.notes += context.listing_notes.notes(context.policy.filters)
    return Summary(
        run_id=context.run.id,
        dataset=context.dataset,
        state=state,
        exit_code=_exit_code(state, failed),
        listed=counts["listed"],
        unchanged=counts["unchanged"] + tally["unchanged"],
        copied=tally["copied"],
        copied_bytes=tally["bytes"],
        updated=tally["updated"],
        made=tally["made"],
        verified=tally["verified"],
        deleted=tally["deleted"] + tally["replaced"],
        kept=tally["kept"],
        failed=failed,
        seconds=round(context.progress.seconds(), 3),
        first_byte_s=context.progress.first_byte_s,
        notes=tuple(context.notes),
        lost=tally["lost"],
        fidelity=fidelity,
        waiting_plan=context.waiting_plan,
        restored=tally["restored"],
        checked=tally["checked"],
        checked_bytes=tally["checked_bytes"],
    )


def _fidelity(lost: int, held: int) -> float:
    """Return the share of the `held` entries that this run did not report as lost.

    `held` are the entries of the new manifest, or those listed if the run ended early;
    not those made, because an old loss may be reported again in a night that makes
    nothing. A retried entry counts again.
    """
    every = max(held, lost)
    return 1 - lost / every if every else 1.0


def _shown_fidelity(fidelity: float, tally: Counter[str]) -> str:
    """Return the fidelity as text, never rounded up to 100 %."""
    percent = min(99.99, round(fidelity * 100, 2))
    losses = [
        f"{tally[name]} entries lost {_LOST_WHAT[kind]}"
        for name, kind in _LOSSES.items()
        if tally[name]
    ]
    return f"fidelity: {percent:.2f} %, {', '.join(losses)}"


def _exit_code(state: str, failed: int) -> int:
    if state != "done":
        return 2
    return 1 if failed else 0


def tally_of(context: RunContext) -> Counter[str]:
    """Add up the tallies of all finished shards; each action must have an outcome."""
    total: Counter[str] = Counter()
    for shard in ledger.listed(
        context.catalog, context.run.id, states=[ShardState.DONE]
    ):
        outcomes = sum(
            count for name, count in shard.tally.items() if name not in _NOT_STATUSES
        )
        if outcomes != shard.entries:
            raise FatalError(
                f"shard {shard.file} has {shard.entries} actions, but {outcomes} "
                f"outcomes"
            )
        rejoined = shard.pass_ is Pass.LINKS and context.pair.rejoins
        if shard.pass_ is Pass.DIRS or rejoined:  # it was made or found before
            total.update(_losses_in(shard.tally))
            continue
        total.update(shard.tally)
        if shard.pass_ is Pass.VERIFY:  # its bytes were read again, not moved
            total["bytes"] -= shard.tally.get("bytes", 0)
    return total


def _losses_in(tally: Mapping[str, int]) -> dict[str, int]:
    wanted = {"lost", *_LOSSES}
    return {name: count for name, count in tally.items() if name in wanted}


def dry_summary(
    request: Request,
    tell: Callable[[Planned], None] = lambda _: None,
) -> Summary:
    """Return the summary of a dry run; `tell` gets the plan page by page."""
    catalog, dataset = request.catalog, request.dataset
    refuse_unshared(catalog, dataset)
    comparison, words = _ends_of(request)
    shared = shared_in(catalog, dataset.name, request.pair)
    counts: Counter[str] = Counter()
    first: list[str] = []
    for page in planned(comparison, shared):
        tell(page)
        _count(counts, page)
        first += [shown(failure.path) for failure in page.failures[:_FIRST]]
        del first[_FIRST:]
    return Summary(
        run_id="-",
        dataset=dataset.name,
        state=PLANNED,
        exit_code=1 if counts["failed"] else 0,
        listed=counts["listed"],
        unchanged=counts["unchanged"],
        copied=0,
        copied_bytes=0,
        updated=0,
        made=0,
        verified=0,
        deleted=0,
        kept=0,
        failed=counts["failed"],
        seconds=0.0,
        first_byte_s=None,
        notes=(
            *words,
            *_intentions(comparison, counts),
            *comparison.listing_notes.notes(comparison.policy.filters),
            *_unreadable(counts, first),
        ),
    )


def _count(counts: Counter[str], page: Planned) -> None:
    plan = page.plan
    counts["listed"] += plan.listed
    counts["unchanged"] += plan.unchanged
    counts["planned"] += plan.actions.num_rows
    counts["bytes"] += int(plan.actions["length"].to_numpy().sum())
    counts["deletes"] += plan.deletes.num_rows
    counts["delete_bytes"] += int(plan.deletes["length"].to_numpy().sum())
    counts["failed"] += len(page.failures)


def _unreadable(counts: Counter[str], first: list[str]) -> list[str]:
    """Name the entries in which a run would fail, as far as the listing shows."""
    if not counts["failed"]:
        return []
    more = ", ..." if counts["failed"] > len(first) else ""
    names = ", ".join(first) + more
    return [f"a run would fail for {counts['failed']} entries, not readable: {names}"]


def _intentions(comparison: Comparison, counts: Counter[str]) -> list[str]:
    notes = [f"would act on {counts['planned']} entries, {counts['bytes']} bytes"]
    if (
        comparison.policy.delete is Delete.OFF
        or Step.DELETE not in comparison.policy.steps
    ):
        return notes
    notes.append(f"would delete {counts['deletes']} entries")
    gone = Gone(
        counts["deletes"],
        counts["delete_bytes"],
        counts["listed"],
        comparison.manifest.entries,
    )
    if not counts["deletes"]:
        return notes
    if forbidden := emptiness(comparison.policy, gone):
        notes.append(f"would delete nothing after all: {forbidden}")
    elif reason := needs_approval(comparison.policy, gone):
        notes.append(f"would keep that as a plan until it is approved: {reason}")
    return notes


def _ends_of(request: Request) -> tuple[Comparison, tuple[str, ...]]:
    """Return the comparison of a dry run, and the notes about its target."""
    catalog, pair, policy = request.catalog, request.pair, request.policy
    row = datasets.known(catalog, request.dataset)
    if row is None:  # a dataset that was never synced has no manifest
        return Comparison(pair, policy, Manifest(catalog, None), now_s()), ()
    comparison = Comparison(pair, policy, Manifest(catalog, row.manifest_id), now_s())
    check_source(comparison)
    target = target_of(Looking(catalog, row.id, row.dataset.name, comparison))
    left = target.left or left_as(catalog, row.manifest_id)
    after = left.run_id if left else None
    if target.known is Known.NOTHING:
        left, after = None, UNKNOWN
    base = Manifest(catalog, left.manifest_id if left else None)
    lacks = lacking(catalog, row.id, policy, after)
    words = (target.words,) if target.words else ()
    return replace(comparison, manifest=base, lacking=lacks), words
