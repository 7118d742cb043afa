"""Makes names of one file, and judges a night of them."""

import os
from typing import Any

from haulage.run.context.runner import Summary
from tests.e2e.place import GUARDED, Place
from tests.trees.compare import assert_same, leftovers

SMALL: dict[str, Any] = {"shards": {"max_entries": 2}}


def link(place: Place, old: str, *names: str) -> None:
    for name in names:
        full = place.source / name
        full.parent.mkdir(parents=True, exist_ok=True)
        os.link(place.source / old, full)


def night(place: Place, **policy: Any) -> Summary:
    """Sync with deletes and tiny shards, and hold the target against the source."""
    summary = place.sync(**GUARDED, **SMALL, movers=2, **policy)
    assert (summary.exit_code, summary.failed) == (0, 0), place.failures()
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
    return summary
