"""Refuse a target that lies inside its source, or the reverse, in one bucket."""

from haulage.errors import shown_path
from haulage.place import Place


def why_not_apart(source: Place, target: Place) -> str | None:
    """Return why two prefixes may not be in one bucket, or None if they may."""
    pair = f"source {shown_path(source.url)} and target {shown_path(target.url)}"
    if source.prefix == target.prefix:
        return f"{pair} are the same; name another target"
    if target.prefix.startswith(source.prefix):
        return f"{pair}: the target lies inside the source; move one out"
    if source.prefix.startswith(target.prefix):
        return f"{pair}: the source lies inside the target; move one out"
    return None
