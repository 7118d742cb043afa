"""What a run would do: the same listing, comparison and plan, with nothing recorded."""

import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from haulage.model import ACTION
from haulage.ops.groups import NO_LINKS
from haulage.ops.plan import Plan, plan
from haulage.stages.discover import Ends, differences, intent_of
from haulage.stages.links import LinkSpool
from haulage.stages.replacing import replacing_in


def planned(ends: Ends) -> Iterator[Plan]:
    """Yield the plan page by page, in canonical order; then that of linked files."""
    intent, replacing = intent_of(ends), replacing_in(ends.pair, ends.manifest)
    with tempfile.TemporaryDirectory(prefix="haulage-plan-") as name:
        links = LinkSpool(Path(name) / "links")
        last = b""
        for difference in differences(ends, Path(name)):
            page = replacing.marked(plan(difference, intent))
            links.add(page.links)
            links.keep()
            last = page.last
            yield page
        yield from _of_links(links, last)


def _of_links(links: LinkSpool, last: bytes) -> Iterator[Plan]:
    """Yield what would be done about linked files: leaders first."""
    numbers = links.elect()
    nothing = ACTION.empty_table()
    unchanged = numbers.listed - numbers.leaders - numbers.members
    yield Plan(last, 0, unchanged, 0, nothing, nothing, NO_LINKS)
    members = (table.select(ACTION.names) for table in links.members())
    for actions in chain(links.leaders(), members):
        yield Plan(last, 0, 0, 0, actions, nothing, NO_LINKS)
