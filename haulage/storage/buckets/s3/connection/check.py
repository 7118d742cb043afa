"""Check first that a bucket can be reached as the place says."""

from collections.abc import Callable

from haulage.errors import (
    FatalError,
    PermanentError,
    RefusedError,
    TransientError,
)
from haulage.storage.buckets.faults import NoBucketError
from haulage.storage.buckets.pace import Pace, Patience
from haulage.storage.buckets.protocol import MissingBucketError
from haulage.storage.buckets.s3.connection.reach import Reach

_SOON = Patience(tries=4)  # a person waits for this, and an address may be wrong
_REGION = "us-east-1"  # which is named by naming none
_ONE_KEY = (("list-type", "2"), ("max-keys", "1"))


def make_sure(reach: Reach, *, create: bool) -> None:
    """List one key; RefusedError says why that fails.

    A listing and not a HEAD, because only its answer explains what is wrong.
    """
    what = f"s3://{reach.address.bucket} at {reach.address.service}"
    try:
        _ask(reach, what, lambda: reach.wire.send("GET", "", query=_ONE_KEY))
    except NoBucketError as err:
        if not create:
            raise MissingBucketError(str(err)) from None
        _make(reach)
    except (FatalError, PermanentError, TransientError) as err:
        raise RefusedError(str(err)) from None


def _make(reach: Reach) -> None:
    where = {"LocationConstraint": reach.address.region}
    values = (
        {} if reach.address.region == _REGION else {"CreateBucketConfiguration": where}
    )
    name = reach.address.bucket
    try:
        _ask(
            reach,
            f"making s3://{name}",
            lambda: reach.client.create_bucket(Bucket=name, **values),
        )
    except (FatalError, PermanentError, TransientError) as err:
        raise RefusedError(str(err)) from None


def _ask(reach: Reach, what: str, request: Callable[[], object]) -> None:
    Pace(_SOON).call(lambda: reach.once(what, request))
