"""What a run would do: the same listing, comparison and plan, with nothing recorded."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from haulage.ops.plan import Plan, plan
from haulage.stages.discover import Ends, differences, intent_of


def planned(ends: Ends) -> Iterator[Plan]:
    """Yield the plan page by page, in canonical order."""
    intent = intent_of(ends)
    with tempfile.TemporaryDirectory(prefix="haulage-plan-") as spool:
        for difference in differences(ends, Path(spool)):
            yield plan(difference, intent)
