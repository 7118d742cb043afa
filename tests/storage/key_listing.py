"""Lists a bucket in memory, and what a listing has by the plainest means."""

import pyarrow as pa

from haulage.model import ENTRY
from haulage.storage.buckets.keys.server_pages import KeyRoot
from haulage.storage.buckets.keys.walk import KeyWalk
from haulage.storage.tree.listing.walk import Page, Span, Unreadable
from tests.engine_builders import paths_of

NAMES = ["a", "a-", "a.b", "b", "b!", "ab", "a/", "b/", "c/", "é/", "😀", ".x", "-/"]


def random_keys(rng, count, *, prefix="p/") -> list[str]:
    keys: set[str] = set()
    while len(keys) < count:
        parts = rng.choices(NAMES, k=rng.randint(1, 5))
        keys.add(prefix + "".join(parts[:-1]) + parts[-1])
    return sorted(keys)


def tables(pieces) -> pa.Table:
    pages = [piece.entries for piece in pieces if isinstance(piece, Page)]
    return pa.concat_tables([ENTRY.empty_table(), *pages])


EVERYTHING = Span()


def walked(bucket, span=EVERYTHING, *, for_files=True, **options) -> list:
    root = KeyRoot(bucket, "p/", for_files=for_files)
    return list(KeyWalk(root, span, **options).pieces())


def whole(bucket, **options) -> tuple[list[bytes], set[bytes]]:
    pieces = walked(bucket, **options)
    lost = [piece.path for piece in pieces if isinstance(piece, Unreadable)]
    assert len(lost) == len(set(lost)), "each refusal is told once"
    return paths_of(tables(pieces)), set(lost)


def expected(keys, *, for_files=True) -> tuple[list[bytes], set[bytes]]:
    """Return what a listing has, by the plainest means."""
    paths = [key.removeprefix("p/").encode() for key in keys]
    if not for_files:
        return sorted({b"", *paths}), set()
    bad = {p for p in paths if b"//" in p or p.startswith(b"/")}
    clash = {p for p in paths if any(o.startswith(p + b"/") for o in paths)} - bad
    clash = {p for p in clash if not p.endswith(b"/") and p}
    good = set(paths) - bad - clash
    dirs = {
        p[: at + 1] for p in set(paths) - bad for at in range(len(p)) if p[at] == 47
    }
    dirs = {d for d in dirs if any(k.startswith(d) for k in good | clash)}
    return sorted({b"", *good, *dirs}), bad | clash
