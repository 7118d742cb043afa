"""Open the bucket of a place, loading no more than its cloud needs."""

import threading
from collections.abc import Mapping

from haulage.place import Place
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.protocol import Bucket


def open_bucket(
    place: Place, environ: Mapping[str, str], stopping: threading.Event | None = None
) -> Bucket:
    """Return the bucket of `place`; no request is sent yet.

    `stopping` ends every wait before a retry.
    """
    pace = Pace(stopping=stopping)
    if place.scheme == "s3":
        from haulage.storage.buckets.s3.bucket import (
            open_s3,  # directories need none of it
        )

        return open_s3(place, environ, pace=pace)
    from haulage.storage.buckets.gs_az.bucket import open_blobs

    return open_blobs(place, environ, pace)
