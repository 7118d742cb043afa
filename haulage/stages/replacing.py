"""Finds the files and links that are to stand where a bucket has a directory of ours.

A tree has one or the other. A bucket takes `d` beside `d/x`, from which nobody can
restore `d`. In canonical order `d` comes before `d/`, with any number between
them, so the plan of a page knows nothing of it: the manifest is looked into ahead.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import groupby

import numpy as np
import pyarrow as pa

from haulage.catalog.manifests import Manifest
from haulage.model import Verb
from haulage.ops.plan import Plan
from haulage.ops.rows import is_dir, with_columns
from haulage.stages.ends import Pair

_MAKES = (Verb.COPY, Verb.LINK)
_PAGES_HELD = 2  # `d/` is in the page of `d`, or in the next one


class Replacing:
    """Knows the directories of a manifest, of which it holds a page or two."""

    def __init__(self, manifest: Manifest) -> None:
        """Read nothing but where the pages begin."""
        self._manifest = manifest
        self._firsts = [ref.first for ref in manifest.pages]
        self._dirs = lru_cache(_PAGES_HELD)(self._read_dirs)

    def marked(self, plan: Plan) -> Plan:
        """Have what takes a directory's name look first whether that is empty."""
        if not self._firsts:
            return plan
        verbs = plan.actions["verb"].to_numpy()
        makes = np.flatnonzero(np.isin(verbs, _MAKES))
        paths = plan.actions["path"].take(pa.array(makes)).to_pylist()
        dirs = [path + b"/" for path in paths]
        known = self._known(dirs)
        if not known:
            return plan
        is_known = [each in known for each in dirs]
        verbs = verbs.copy()
        verbs[makes[is_known]] = Verb.REPLACE
        return replace(plan, actions=with_columns(plan.actions, verb=pa.array(verbs)))

    def _known(self, dirs: Iterable[bytes]) -> set[bytes]:
        """Return which of `dirs` the manifest has."""
        known = set[bytes]()
        for page, some in groupby(sorted(dirs), self._page_of):
            known |= self._dirs(page).intersection(some)
        return known

    def _page_of(self, path: bytes) -> int:
        return max(0, bisect_right(self._firsts, path) - 1)

    def _read_dirs(self, page: int) -> frozenset[bytes]:
        table = self._manifest.read(self._manifest.pages[page], ["path", "kind"])
        return frozenset(table["path"].filter(pa.array(is_dir(table))).to_pylist())


def replacing_in(pair: Pair, manifest: Manifest) -> Replacing:
    """Return what marks a plan; it marks nothing unless a tree goes into a bucket."""
    matters = pair.target.is_bucket and not pair.source.is_bucket
    return Replacing(manifest if matters else Manifest(manifest.catalog, None))
