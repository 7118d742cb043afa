"""Opens buckets of the servers of tests, with little patience."""

import threading
from dataclasses import replace

from haulage.place import Place
from haulage.storage.buckets.pace import Pace, Patience
from haulage.storage.buckets.protocol import PutBy
from haulage.storage.buckets.s3.bucket import S3Bucket, open_s3
from haulage.storage.store import Carried

SOON = Patience(tries=5, budget_s=20.0, base_s=0.01, cap_s=0.1)
METADATA = {"mtime": "1500000000.123456789", "mode": "100644", "haulage": "1"}
CARRIED = Carried("text/plain", {"Cache-Control": "no-store"})
BY = PutBy(METADATA, CARRIED)


def place_of(server, name, **wanted):
    """Return the place of a bucket in a server."""
    place = Place(f"s3://{name}", endpoint=server.endpoint, region=server.region)
    return replace(place, **wanted)


def opened(server, name, *, copied_at_once=5 << 30, **wanted):
    """Return a bucket as the product opens it, but for waits, which are short."""
    never = threading.Event()
    pace = Pace(SOON, wait=lambda wait_s: never.wait(min(wait_s, 0.01)))
    environ = server.environment()
    place = place_of(server, name, **wanted)
    return open_s3(place, environ, pace=pace, copied_at_once=copied_at_once)


def put(bucket: S3Bucket, key, content=b"hello", by=BY):
    """Make an object and return its etag."""
    return bucket.put(key, content, by).etag
