"""Whether an object can stand for a directory in a bucket."""

from haulage.errors import PermanentError, TransientError
from haulage.storage.buckets.objects.trials import erase, trial_stem
from haulage.storage.buckets.pace import ThrottledError
from haulage.storage.buckets.protocol import Bucket, PutBy

_ROUNDS = 5  # of a key that fails while another does not: no passing fault does that


def keeps_markers(bucket: Bucket, prefix: str) -> bool:
    """Find out whether an object can stand for a directory beside the objects in it.

    Servers that keep keys as paths of files take `x/` or `x/y`, but not both. If the
    target takes no object at all, that is an error, which is raised.
    """
    stem = trial_stem(prefix)
    marker, inside, control = f"{stem}/", f"{stem}/x", f"{stem}-x"
    try:
        if not (_takes(bucket, marker, control) and _takes(bucket, inside, control)):
            return False
        return bucket.head(marker) is not None
    finally:
        erase(bucket, inside)
        erase(bucket, marker)


def _takes(bucket: Bucket, key: str, control: str) -> bool:
    """Tell whether the server takes a key, given that it takes `control`."""
    for _ in range(_ROUNDS):
        try:
            bucket.put_trial(key)
        except ThrottledError:
            raise  # which is about the moment, not about the key
        except (TransientError, PermanentError):
            _put_patiently(bucket, control)
        else:
            return True
    return False


def _put_patiently(bucket: Bucket, control: str) -> None:
    try:
        bucket.put(control, b"", PutBy({}))
    finally:
        erase(bucket, control)
