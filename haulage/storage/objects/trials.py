"""Objects that are put only to learn about a bucket, and removed at once."""

import secrets
from contextlib import suppress

from haulage.errors import PermanentError, TransientError
from haulage.storage.bucket import Bucket, PutBy


def trial_stem(prefix: str) -> str:
    """Return what the keys of one trial begin with, and no others."""
    return f"{prefix}.haulage-{secrets.token_hex(6)}"


def erase(bucket: Bucket, key: str) -> None:
    """Remove an object of a trial, if it can be."""
    with suppress(TransientError, PermanentError):
        bucket.erase(key)


def folds_names(bucket: Bucket, prefix: str) -> bool:
    """Tell whether a server takes names for one that differ in case or normal form."""
    stem = trial_stem(prefix)
    name, others = f"{stem}-x\xe9", (f"{stem}-X\xe9", f"{stem}-xe\u0301")
    try:
        bucket.put(name, b"", PutBy({}))
        return any(bucket.head(other) is not None for other in others)
    finally:
        erase(bucket, name)


def is_one_bucket(source: Bucket, target: Bucket, prefix: str) -> bool:
    """Tell whether what is put into the target is in the source, by whatever names."""
    name = f"{trial_stem(prefix)}-x"
    try:
        target.put(name, b"", PutBy({}))
        with suppress(PermanentError):
            return source.head(name) is not None
        return False
    finally:
        erase(target, name)
