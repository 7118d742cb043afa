"""The part of a plan that the steps of a run, or of a dry run, select."""

from dataclasses import replace

import pyarrow as pa

from haulage.config.policy import Delete, RunPolicy, Step
from haulage.planning.actions import Plan
from haulage.planning.columns import is_dir
from haulage.planning.link_rows import NO_LINKS


def limited(page: Plan, policy: RunPolicy) -> Plan:
    """Return the part of a page's plan that the policy's steps select."""
    if policy.delete is Delete.OFF or Step.DELETE not in policy.steps:
        page = replace(page, deletes=page.deletes.slice(0, 0))
    if Step.COPY in policy.steps:
        return page
    is_made = is_dir(page.actions) & (Step.DIRS in policy.steps)
    made = page.actions.filter(pa.array(is_made))
    return replace(page, actions=made, links=NO_LINKS)
