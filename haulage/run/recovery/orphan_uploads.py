"""Find and abort multipart uploads that nobody will complete.

A run aborts its own at its end. Those left belong to a machine that was lost with its
workspace; their parts cost money, and no listing shows them.
"""

import time
from dataclasses import dataclass

from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import RunState
from haulage.errors import RefusedError
from haulage.run.context.endpoints import pair_of
from haulage.run.context.workspace import workspace_of
from haulage.storage.buckets.protocol import ByParts, Upload
from haulage.storage.resumable import begun

_GIGA = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Orphans:
    """Old uploads below a dataset's target that belong to no unfinished run."""

    bucket: ByParts
    uploads: tuple[Upload, ...]

    def drop(self) -> None:
        """Abort them all."""
        for upload in self.uploads:
            self.bucket.abort_upload(upload.key, upload.upload_id)


def orphans(catalog: Catalog, row: DatasetRow, older_than_s: float) -> Orphans:
    """Find the orphans of a dataset; RefusedError for a target without uploads."""
    pair = pair_of(row.dataset)
    target = pair.target
    bucket = pair.bucket(target) if target.is_bucket else None
    if not isinstance(bucket, ByParts):
        raise RefusedError(
            f"{target.url}: only s3:// buckets keep the parts of incomplete uploads; "
            "there is nothing to sweep"
        )
    known = _under_way(catalog, row)
    newest = time.time_ns() - int(older_than_s * _GIGA)
    found = (
        upload
        for upload in bucket.uploads(target.prefix)
        if upload.began_ns < newest and upload.upload_id not in known
    )
    return Orphans(bucket, tuple(found))


def _under_way(catalog: Catalog, row: DatasetRow) -> set[str]:
    """Return the uploads of runs that can still be resumed."""
    return {
        upload_id
        for run in runs.recent(catalog, row.id, 1)
        if run.state is not RunState.DONE
        for _, upload_id, _ in begun(workspace_of(run) / "ranges")
    }
