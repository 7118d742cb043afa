"""What a run would do: the same listing, comparison and plan, with nothing recorded."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from haulage.catalog.failures import Failure
from haulage.model import ACTION, Kind, Verb
from haulage.ops.groups import NO_LINKS
from haulage.ops.plan import Plan, on_paths, plan
from haulage.ops.rows import is_dir
from haulage.policy import Step
from haulage.stages.discover import Ends, differences, intent_of
from haulage.stages.links import LinkSpool
from haulage.stages.readable import Readable
from haulage.stages.replacing import replacing_in
from haulage.stages.shared import Shared
from haulage.stages.steps import limited
from haulage.stages.unlisted import failure_of
from haulage.storage.tree.walk import Unreadable


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be done about one page, and what could not be."""

    plan: Plan
    failures: tuple[Failure, ...] = ()


def planned(ends: Ends, shared: Shared) -> Iterator[Planned]:
    """Yield the plan page by page, in canonical order; then that of linked files, and
    of directories whose attributes alone are asked for.
    """
    intent, replacing = intent_of(ends), replacing_in(ends.pair, ends.manifest)
    with (
        tempfile.TemporaryDirectory(prefix="haulage-plan-") as name,
        Readable(ends.pair.source) as readable,
    ):
        links = LinkSpool(Path(name) / "links")
        last = b""
        for difference in differences(ends, Path(name) / "spool"):
            whole = replacing.marked(plan(difference, intent))
            page = limited(shared.marked(whole), ends.policy)
            links.add(page.links)
            links.keep()
            last = page.last
            yield _weighed(page, readable, difference.unreadable)
        for page in chain(_of_links(links, last), _of_dirs(ends, last)):
            yield _weighed(page, readable)


def _weighed(
    page: Plan, readable: Readable, unlisted: tuple[Unreadable, ...] = ()
) -> Planned:
    """Take out of a plan what could not be read, and tell it as failures."""
    failures = [failure for lost in unlisted if (failure := failure_of(lost))]
    actions, shut = readable.of(page.actions)
    return Planned(replace(page, actions=actions), (*failures, *shut))


def _of_links(links: LinkSpool, last: bytes) -> Iterator[Plan]:
    """Yield what would be done about linked files: leaders first."""
    numbers = links.elect()
    nothing = ACTION.empty_table()
    unchanged = numbers.listed - numbers.leaders - numbers.members
    yield Plan(last, 0, unchanged, 0, nothing, nothing, NO_LINKS)
    members = (table.select(ACTION.names) for table in links.members())
    for actions in chain(links.leaders(), members):
        yield Plan(last, 0, 0, 0, actions, nothing, NO_LINKS)


def _of_dirs(ends: Ends, last: bytes) -> Iterator[Plan]:
    """Yield the directories that a run of the step `dirs` alone finishes."""
    if ends.policy.steps != (Step.DIRS,) or ends.pair.target.is_bucket:
        return
    nothing = ACTION.empty_table()
    for table in ends.manifest.tables():
        paths = table["path"].filter(is_dir(table)).combine_chunks()
        actions = on_paths(paths, Verb.DIR, Kind.DIR)
        yield Plan(last, 0, 0, 0, actions, nothing, NO_LINKS)
