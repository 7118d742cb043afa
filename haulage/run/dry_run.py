"""Dry run: the same listing, comparison and plan, with nothing recorded."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from haulage.catalog.failures import Failure
from haulage.config.policy import Step
from haulage.model import ACTION, Kind, Verb
from haulage.planning.actions import Plan, on_paths, plan
from haulage.planning.columns import is_dir
from haulage.planning.link_rows import NO_LINKS
from haulage.run.discovery.discover import Comparison, differences, intent_of
from haulage.run.discovery.replaced_objects import replacing_in
from haulage.run.discovery.shared_target import Shared
from haulage.run.discovery.steps import limited
from haulage.run.guards.readable import Readable
from haulage.run.links.spool import LinkSpool
from haulage.run.manifest.unlisted import failure_of
from haulage.storage.tree.listing.walk import Unreadable


@dataclass(frozen=True, slots=True)
class Planned:
    """The actions planned for one page, and the failures that a run would have."""

    plan: Plan
    failures: tuple[Failure, ...] = ()


def planned(comparison: Comparison, shared: Shared) -> Iterator[Planned]:
    """Yield the plan page by page, then that of linked files and of directories."""
    intent, replacing = (
        intent_of(comparison),
        replacing_in(comparison.pair, comparison.manifest),
    )
    with (
        tempfile.TemporaryDirectory(prefix="haulage-plan-") as name,
        Readable(comparison.pair.source) as readable,
    ):
        links = LinkSpool(Path(name) / "links")
        last = b""
        for difference in differences(comparison, Path(name) / "spool"):
            whole = replacing.marked(plan(difference, intent))
            page = limited(shared.marked(whole), comparison.policy)
            links.add(page.links)
            links.flush()
            last = page.last
            yield _weighed(page, readable, difference.unreadable)
        for page in chain(_of_links(links, last), _of_dirs(comparison, last)):
            yield _weighed(page, readable)


def _weighed(
    page: Plan, readable: Readable, unlisted: tuple[Unreadable, ...] = ()
) -> Planned:
    """Move unreadable entries from a plan to its failures."""
    failures = [failure for lost in unlisted if (failure := failure_of(lost))]
    actions, shut = readable.of(page.actions)
    return Planned(replace(page, actions=actions), (*failures, *shut))


def _of_links(links: LinkSpool, last: bytes) -> Iterator[Plan]:
    """Yield the plan for linked files, leaders first."""
    numbers = links.elect()
    nothing = ACTION.empty_table()
    unchanged = numbers.listed - numbers.leaders - numbers.members
    yield Plan(last, 0, unchanged, 0, nothing, nothing, NO_LINKS)
    members = (table.select(ACTION.names) for table in links.members())
    for actions in chain(links.leaders(), members):
        yield Plan(last, 0, 0, 0, actions, nothing, NO_LINKS)


def _of_dirs(comparison: Comparison, last: bytes) -> Iterator[Plan]:
    """Yield the directories that a run of the step `dirs` alone finishes."""
    if comparison.policy.steps != (Step.DIRS,) or comparison.pair.target.is_bucket:
        return
    nothing = ACTION.empty_table()
    for table in comparison.manifest.tables():
        paths = table["path"].filter(is_dir(table)).combine_chunks()
        actions = on_paths(paths, Verb.DIR, Kind.DIR)
        yield Plan(last, 0, 0, 0, actions, nothing, NO_LINKS)
