"""Lay the outcomes of a run over the manifest that it began with."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from haulage.catalog.manifests.reader import Manifest, PageRef
from haulage.catalog.runs.shards import Shard
from haulage.model import MANIFEST, Pass
from haulage.planning.merge import NO_PATHS, Besides, Merged, Stream, merge, next_end
from haulage.run.context.run_context import RunContext
from haulage.run.pass_order import turns
from haulage.run.sharding.outcomes import done, outcomes_of


class Laid(NamedTuple):
    """A span of the order in which the run has outcomes."""

    merged: Merged
    overlays: list[pa.Table]  # OUTCOME, in the order they happened in


def overlaid(
    context: RunContext,
    *,
    taken: Iterable[pa.Table] = (),
    touched: Iterable[pa.Table] = (),
    begun: Iterable[pa.Table] = (),
    at_last: Iterable[pa.Table] = (),
) -> Iterator[PageRef | Laid]:
    """Yield the order span by span; a page without outcomes as its reference, unread.

    `taken`, `touched` and `begun` are the paths of `Besides`, and `at_last` outcomes of
    no pass.
    """
    besides = Stream(taken), Stream(touched), Stream(begun)
    streams = [Stream(tables) for tables in overlays_of(context)] + [Stream(at_last)]
    base = _Base(Manifest(context.catalog, context.run.base_manifest_id))
    while (upto := next_end([base, *besides, *streams])) is not None:
        windows = [list(stream.take(upto)) for stream in streams]
        overlays = [pa.concat_tables(tables) for tables in windows if tables]
        paths = [pa.concat_tables([NO_PATHS, *some.take(upto)]) for some in besides]
        is_quiet = not overlays and not any(some.num_rows for some in paths)
        if is_quiet and base.is_whole_page(upto):
            yield base.take_page()
        else:
            yield Laid(merge(base.take(upto), overlays, Besides(*paths)), overlays)


class _Base:
    """The old manifest, read a page at a time and only where an outcome falls."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._refs = list(reversed(manifest.pages))
        self._part: pa.Table = MANIFEST.empty_table()

    @property
    def next_last(self) -> bytes | None:
        if self._part.num_rows:
            last: bytes = self._part["path"][-1].as_py()
            return last
        return self._refs[-1].last if self._refs else None

    def is_whole_page(self, upto: bytes) -> bool:
        return (
            not self._part.num_rows and bool(self._refs) and self._refs[-1].last == upto
        )

    def take_page(self) -> PageRef:
        return self._refs.pop()

    def take(self, upto: bytes) -> pa.Table:
        """Return the entries up to `upto`, which lies in the next page or before it."""
        if not self._part.num_rows and self._refs and self._refs[-1].first <= upto:
            self._part = self._manifest.read(self._refs.pop())
        rest = Stream([self._part])
        taken = pa.concat_tables([self._part.slice(0, 0), *rest.take(upto)])
        self._part = self._part.slice(taken.num_rows)
        return taken


def overlays_of(
    context: RunContext, columns: Sequence[str] | None = None
) -> Iterator[Iterator[pa.Table]]:
    """Yield the outcomes of each pass and round, in the order of the run."""
    for shards in _in_time(context):
        for stream in _in_order(shards):
            yield _sorted_tables(context, stream, columns)


def _in_time(context: RunContext) -> Iterator[list[Shard]]:
    """Return the finished shards of each turn; the catalog is asked once for all."""
    by_turn = defaultdict[tuple[Pass, int], list[Shard]](list)
    for shard in done(context):
        by_turn[shard.pass_, shard.round].append(shard)
    return (by_turn[turn] for turn in turns(context.policy.attempts))


def _in_order(shards: list[Shard]) -> list[list[Shard]]:
    """Return streams of shards; in each, the shards follow one another.

    Shards of parts, of linked files and of published files lie between others.
    """
    streams: list[list[Shard]] = []
    for shard in sorted(shards, key=lambda shard: (shard.first, shard.last)):
        fits = (stream for stream in streams if stream[-1].last <= shard.first)
        stream = next(fits, None)
        if stream is None:
            streams.append([shard])
        else:
            stream.append(shard)
    return streams


def _sorted_tables(
    context: RunContext, shards: list[Shard], columns: Sequence[str] | None
) -> Iterator[pa.Table]:
    for shard in shards:
        yield outcomes_of(context, shard, columns).sort_by("path")
