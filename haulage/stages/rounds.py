"""What follows a round of copying: publish split files, verify, and try some again."""

import zlib
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise, product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haulage.catalog import shards as ledger
from haulage.catalog.manifests import Manifest
from haulage.catalog.shards import Shard, ShardState
from haulage.errors import TRANSIENT_ERRNOS
from haulage.model import OUTCOME, Kind, Pass, Preserve, Status, Verified
from haulage.ops.pack import pack
from haulage.ops.plan import join_parts, prove, redo
from haulage.ops.rows import is_linked
from haulage.ops.together import LED, TOGETHER, led, with_identity
from haulage.policy import Verify
from haulage.shardfile import read_outcomes
from haulage.stages.crew import Crew
from haulage.stages.links import gathered
from haulage.stages.sealing import seal
from haulage.stages.site import Site
from haulage.stages.wave import Wave, run_wave
from haulage.storage.disksort import ENTRY_ROWS, DiskSort

MAKES = (Pass.COPY, Pass.PUBLISH)
MAKES_AND_PROVES = (*MAKES, Pass.VERIFY)
_TRY_AGAIN = (Status.UNSTABLE, Status.MISMATCH)


def settle(site: Site, crew: Crew) -> None:
    """Publish and verify what was copied, and copy again what may succeed now."""
    for round_ in range(site.policy.attempts):
        if round_ and not _copy_again(site, crew, round_):
            return
        _prove_round(site, crew, round_)


def prove_manifest(site: Site, crew: Crew) -> None:
    """Verify everything that the manifest says the target holds."""
    shards = (
        shard for entries in _known(site) for shard in pack(prove(entries), site.bounds)
    )
    seal(site, Pass.VERIFY, 0, shards)
    run_pass(site, crew, Pass.VERIFY, 0, "verify")


def _known(site: Site) -> Iterator[pa.Table]:
    """Yield the manifest's entries; a second name has the first as `leader`."""
    manifest = Manifest(site.catalog, site.run.base_manifest_id)
    if site.pair.has_bucket or Preserve.LINKS not in site.policy.preserve:
        yield from manifest.tables()
        return
    spool = site.workspace / "links" / "known"
    groups = DiskSort(spool / "groups", TOGETHER, "key", run_rows=ENTRY_ROWS)
    for page in manifest.tables():
        linked = is_linked(page)
        groups.add(with_identity(page.filter(pa.array(linked))))
        yield page.filter(pa.array(~linked))
    by_path = DiskSort(spool / "paths", LED, "path", run_rows=ENTRY_ROWS)
    for entries in led(groups.tables()):
        by_path.add(entries)
    yield from gathered(by_path.tables())


def settle_blocked(site: Site, crew: Crew) -> None:
    """Copy what a directory blocked that the delete pass may have removed."""
    last = site.policy.attempts
    blocked = [Status.BLOCKED]
    if not is_sealed(site, Pass.COPY, last):
        rows = rows_with(site, MAKES, range(last), blocked)
        _seal_again(site, last, once(site, "again", OUTCOME, rows))
    _run_again(site, crew, last)
    _prove_round(site, crew, last)


def _copy_again(site: Site, crew: Crew, round_: int) -> bool:
    """Copy what the round before left unstable, mismatched or failed for a while."""
    if not is_sealed(site, Pass.COPY, round_):
        rows = worth_another_try(site, MAKES_AND_PROVES, round_ - 1)
        again = once(site, "again", OUTCOME, rows)
        if again is not None:
            site.pause(round_)
        _seal_again(site, round_, again)
    return _run_again(site, crew, round_)


def _seal_again(site: Site, round_: int, rows: Iterator[pa.Table] | None) -> None:
    """Seal what is to be copied again as a round of its own."""
    shards = (shard for some in rows or () for shard in pack(redo(some), site.bounds))
    seal(site, Pass.COPY, round_, shards)


def _run_again(site: Site, crew: Crew, round_: int) -> bool:
    site.meter.stage = "retry"
    return run_pass(site, crew, Pass.COPY, round_, f"copy again, round {round_}")


def _prove_round(site: Site, crew: Crew, round_: int) -> None:
    site.meter.stage = "publish"
    if not is_sealed(site, Pass.PUBLISH, round_):
        seal(site, Pass.PUBLISH, round_, _publishable(site, round_))
    run_pass(site, crew, Pass.PUBLISH, round_, "publish split files")
    site.meter.stage = "verify"
    if site.policy.verify is not Verify.NONE and not is_sealed(
        site, Pass.VERIFY, round_
    ):
        seal(site, Pass.VERIFY, round_, _provable(site, round_))
    run_pass(site, crew, Pass.VERIFY, round_, "verify")


def run_pass(site: Site, crew: Crew, pass_: Pass, round_: int, name: str) -> bool:
    """Run what is ready of one pass and round; tell whether that pass had any shard."""
    ready = ledger.listed(
        site.catalog, site.run.id, pass_=pass_, round_=round_, states=[ShardState.READY]
    )
    if ready:
        name = f"{name} (round {round_})" if round_ and "round" not in name else name
        crew.call(name, partial(run_wave, site, Wave(name, tuple(ready))))
    return is_sealed(site, pass_, round_)


def is_sealed(site: Site, pass_: Pass, round_: int) -> bool:
    """Tell whether a pass has any shard in a round."""
    return ledger.are_there(site.catalog, site.run.id, pass_, round_)


def done(site: Site, pass_: Pass, round_: int | None = None) -> list[Shard]:
    """Return the finished shards of one pass, in canonical order within a round."""
    return ledger.listed(
        site.catalog, site.run.id, pass_=pass_, round_=round_, states=[ShardState.DONE]
    )


def outcomes_of(
    site: Site, shard: Shard, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read what became of a finished shard's actions."""
    assert shard.outcome is not None
    return read_outcomes(site.workspace / shard.outcome, columns)


def rows_with(
    site: Site,
    passes: Collection[Pass],
    rounds: Collection[int],
    statuses: Collection[Status],
) -> Iterator[pa.Table]:
    """Yield the outcomes with one of `statuses`, reading only files that have some."""
    names = [status.name.lower() for status in statuses]
    wanted = pa.array(statuses, pa.uint8())
    for pass_, round_ in product(passes, rounds):
        for shard in ledger.counting(site.catalog, site.run.id, pass_, round_, names):
            table = outcomes_of(site, shard)
            yield table.filter(pc.is_in(table["status"], wanted))


def worth_another_try(
    site: Site, passes: Collection[Pass], round_: int
) -> Iterator[pa.Table]:
    """Yield what a round left unstable, mismatched or failed for a while."""
    yield from rows_with(site, passes, [round_], _TRY_AGAIN)
    transient = pa.array(sorted(TRANSIENT_ERRNOS), pa.int32())
    for table in rows_with(site, passes, [round_], [Status.FAILED]):
        yield table.filter(pc.is_in(table["errno"], transient))


def once(
    site: Site, name: str, schema: pa.Schema, tables: Iterator[pa.Table]
) -> Iterator[pa.Table] | None:
    """Return one row a path, in order and in large tables; None if there is no row.

    They are sorted on disk, as `name`: all of a huge tree may have failed for a while.
    Parts of one file failed together or not at all.
    """
    rows = DiskSort(site.workspace / name, schema, "path", run_rows=ENTRY_ROWS)
    for table in tables:
        rows.add(table.select(schema.names))
    found = gathered(rows.tables())
    first = next(found, None)
    return None if first is None else chain([first], found)


def _publishable(site: Site, round_: int) -> Iterator[pa.Table]:
    """Yield the parts of every file of this round that has all of them, file by file.

    Each is a shard of its own, so that movers read large files back side by side.
    """
    spool = site.workspace / "publish"
    rows = DiskSort(spool, OUTCOME, "path", run_rows=ENTRY_ROWS, once=False)
    for table in rows_with(site, [Pass.COPY], [round_], [Status.PART]):
        rows.add(table.select(OUTCOME.names))
    for parts in _by_path(rows.tables()):
        arrived = pc.sum(parts["length"]).as_py()
        if arrived == pc.max(parts["size"]).as_py():
            yield join_parts(parts.sort_by("offset"))


def _by_path(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Cut sorted tables where another path begins; one path may be in several."""
    held = OUTCOME.empty_table()
    for table in tables:
        rows = pa.concat_tables([held, table])
        paths = rows["path"].to_pylist()
        starts = [row for row in range(1, len(paths)) if paths[row] != paths[row - 1]]
        for first, after in pairwise([0, *starts]):
            yield rows.slice(first, after - first)
        held = rows.slice(starts[-1] if starts else 0)
    if held.num_rows:
        yield held


def _provable(site: Site, round_: int) -> Iterator[pa.Table]:
    """Yield, shard by shard, the actions that verify what this round made."""
    made = ("copied", "made")
    for pass_ in MAKES:
        for shard in ledger.counting(site.catalog, site.run.id, pass_, round_, made):
            yield prove(to_prove(site, outcomes_of(site, shard)))


def _wanted(verify: Verify) -> Verified:
    """Return the proof that an entry needs; who moved it may have given it already."""
    return Verified.METADATA if verify is Verify.METADATA else Verified.CHECKSUM


def to_prove(site: Site, outcomes: pa.Table) -> pa.Table:
    """Return which of these outcomes are still to be verified."""
    made = np.isin(outcomes["status"].to_numpy(), (Status.COPIED, Status.MADE))
    made &= outcomes["verified"].to_numpy() < _wanted(site.policy.verify)
    made &= outcomes["kind"].to_numpy() != Kind.DIR
    wanted = outcomes.filter(pa.array(made))
    if site.policy.verify is not Verify.SAMPLE:
        return wanted
    limit = int(site.policy.sample_share * 2**32)
    drawn = [zlib.crc32(path) < limit for path in wanted["path"].to_pylist()]
    return wanted.filter(pa.array(drawn, pa.bool_()))
