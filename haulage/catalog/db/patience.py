"""Retry while the database is away for a moment: restarted, cut off, or busy."""

import time
from collections.abc import Callable
from functools import wraps
from itertools import chain, repeat
from typing import Concatenate, ParamSpec, TypeVar

from haulage.catalog.db.engine import PATIENCE_S, Catalog
from haulage.errors import AwayError

_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

P = ParamSpec("P")
T = TypeVar("T")
_Transaction = Callable[Concatenate[Catalog, P], T]


def patient(function: _Transaction[P, T]) -> _Transaction[P, T]:
    """Call a one-transaction function again while the catalog is away.

    An AwayError guarantees that nothing of the transaction happened, so that a retry
    does nothing twice. Concurrent callers are told apart by the tokens in their
    statements, as always.
    """

    @wraps(function)
    def until_back(catalog: Catalog, /, *args: P.args, **kwargs: P.kwargs) -> T:
        failed_at: list[float] = []
        for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
            try:
                return function(catalog, *args, **kwargs)
            except AwayError:
                failed_at.append(time.monotonic())
                waited_s = max(failed_at[-1] - failed_at[0], catalog.is_away_for_s())
                if waited_s > PATIENCE_S:
                    raise
                if catalog.hurried.wait(pause_s):
                    raise
        raise AssertionError("pauses never end")

    return until_back
