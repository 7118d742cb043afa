"""Trial objects: put only to learn about a bucket, and removed at once."""

import secrets
from contextlib import suppress

from haulage.errors import PermanentError, TransientError
from haulage.storage.buckets.protocol import Bucket, PutBy


def trial_stem(prefix: str) -> str:
    """Return the prefix of one trial's keys, which no other key has."""
    return f"{prefix}.haulage-{secrets.token_hex(6)}"


def erase(bucket: Bucket, key: str) -> None:
    """Remove an object of a trial, if possible."""
    with suppress(TransientError, PermanentError):
        bucket.erase(key)


def folds_case(bucket: Bucket, prefix: str) -> bool:
    """Tell whether a server treats names that differ only in case as one."""
    stem = trial_stem(prefix)
    return _is_found_as(bucket, f"{stem}-x", f"{stem}-X")


def folds_forms(bucket: Bucket, prefix: str) -> bool:
    """Tell whether a server treats normal forms of one name as one."""
    stem = trial_stem(prefix)
    with suppress(PermanentError):  # where no such name is taken, none can be folded
        return _is_found_as(bucket, f"{stem}-\xe9", f"{stem}-e\u0301")
    return False


def _is_found_as(bucket: Bucket, name: str, other: str) -> bool:
    try:
        bucket.put(name, b"", PutBy({}))
        return bucket.head(other) is not None
    finally:
        erase(bucket, name)


def is_one_bucket(source: Bucket, target: Bucket, prefix: str) -> bool:
    """Tell whether an object put into the target appears in the source."""
    name = f"{trial_stem(prefix)}-x"
    try:
        target.put(name, b"", PutBy({}))
        with suppress(PermanentError):
            return source.head(name) is not None
        return False
    finally:
        erase(target, name)
