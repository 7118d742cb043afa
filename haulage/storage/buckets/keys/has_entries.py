"""Whether a prefix of a bucket holds any key besides Haulage's own."""

from haulage.storage.buckets.protocol import Lists, keys_below
from haulage.storage.tree.ours import is_ours


def holds_entries(bucket: Lists, prefix: str) -> bool:
    """Tell whether a key is below a prefix, besides the prefix and Haulage's own."""
    below = (key.removeprefix(prefix) for key in keys_below(bucket, prefix))
    return any(name and not is_ours(name.encode()) for name in below)
