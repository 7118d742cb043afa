"""In a bucket, make room for an entry whose name another kind of entry has.

A tree has `d` or `d/`, and creating one there replaces the other. A bucket takes `d`
beside `d/x`, from which nobody can restore `d`. In canonical order `d` comes before
`d/`, with any number of entries between them, so a page's plan cannot know: the
manifest is read ahead.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from haulage.catalog.manifests.reader import Manifest
from haulage.model import Verb
from haulage.paths import other_form
from haulage.planning.actions import Plan
from haulage.planning.columns import with_columns
from haulage.run.context.endpoints import Pair
from haulage.run.manifest.lookup import KnownNames

_MAKES = (Verb.COPY, Verb.LINK, Verb.MKDIR)


class Replacing:
    """Marks the actions before which another entry must be removed."""

    def __init__(self, manifest: Manifest) -> None:
        """Use the manifest from which the plan was made."""
        self._known = KnownNames(manifest)

    def marked(self, plan: Plan) -> Plan:
        """Make actions that take a name remove its old entry first, if it is empty."""
        verbs = plan.actions["verb"].to_numpy()
        makes = np.flatnonzero(np.isin(verbs, _MAKES))
        paths = plan.actions["path"].take(pa.array(makes)).to_pylist()
        others = [other_form(path) for path in paths]
        known = self._known.among(filter(None, others))
        if not known:
            return plan
        is_known = [each in known for each in others]
        verbs = verbs.copy()
        verbs[makes[is_known]] = Verb.REPLACE
        return replace(plan, actions=with_columns(plan.actions, verb=pa.array(verbs)))


def replacing_in(pair: Pair, manifest: Manifest) -> Replacing:
    """Return what marks a plan; it marks nothing unless a tree goes into a bucket."""
    matters = pair.target.is_bucket and not pair.source.is_bucket
    return Replacing(manifest if matters else Manifest(manifest.catalog, None))
