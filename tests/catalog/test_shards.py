"""Shards are sealed once, run by one attempt at a time, and finished once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.runs import attempts as attempt_records
from haulage.catalog.runs import runs, shards
from haulage.catalog.runs.runs import Run, RunState
from haulage.catalog.runs.shards import Discovery, ShardState
from haulage.errors import LostRunError
from haulage.model import Pass
from tests.catalogs import new_shard

NASTY = b"a\nb\xff\\.\t\\N" + b"x" * 4000


def test_sealing_records_shards_and_how_far_discovery_is(
    catalog: Catalog, run: Run
) -> None:
    new = replace(new_shard(1), first=b"", last=NASTY)
    discovery = Discovery(NASTY, {"listed": 10}, finished=True)
    (sealed,) = shards.seal(catalog, run, [new], discovery)
    assert (sealed.first, sealed.last, sealed.state) == (b"", NASTY, ShardState.READY)
    assert shards.listed(catalog, run.id) == [sealed]
    now = runs.find(catalog, run.id)
    assert (now.listed_until, now.counts, now.discovered) == (
        NASTY,
        {"listed": 10},
        True,
    )


def test_live_counts_do_not_move_what_was_sealed(catalog: Catalog, run: Run) -> None:
    shards.seal(catalog, run, [], Discovery(b"a", {"listed": 10}, finished=False))
    runs.heartbeat(catalog, run, {"listed": 99, "moved": 5})
    assert runs.find(catalog, run.id).counts == {"listed": 10, "moved": 5}


def test_sealing_is_all_or_nothing(catalog: Catalog, run: Run) -> None:
    shards.seal(catalog, run, [new_shard(1)])
    discovery = Discovery(b"z", {}, finished=True)
    with pytest.raises(IntegrityError):
        shards.seal(catalog, run, [new_shard(2), new_shard(1)], discovery)
    assert [one.seq for one in shards.listed(catalog, run.id)] == [1]
    assert runs.find(catalog, run.id).listed_until is None


def test_shards_are_listed_in_the_order_of_passes(catalog: Catalog, run: Run) -> None:
    new = [new_shard(seq, one) for one in reversed(Pass) for seq in (2, 1)]
    sealed = shards.seal(catalog, run, [*new, new_shard(0, round_=1)])
    assert [one.seq for one in sealed] == [one.seq for one in new] + [0]
    found = shards.listed(catalog, run.id)
    copies_first = [Pass.COPY] * 3 + [one for one in list(Pass)[1:] for _ in (1, 2)]
    assert [one.pass_ for one in found] == copies_first
    copies = shards.listed(catalog, run.id, pass_=Pass.COPY)
    assert [(one.round, one.seq) for one in copies] == [(0, 1), (0, 2), (1, 0)]
    assert len(shards.listed(catalog, run.id, pass_=Pass.COPY, round_=0)) == 2
    assert shards.listed(catalog, run.id, states=[ShardState.DONE]) == []


def test_an_attempt_finishes_its_shard_once(catalog: Catalog, run: Run) -> None:
    sealed = shards.seal(catalog, run, [new_shard(1), new_shard(2)])
    first, second = attempt_records.start(catalog, run, sealed, "node 1")
    assert first.token != second.token
    assert (len(first.token), first.number, first.dead_tokens) == (12, 1, ())
    assert attempt_records.finish(catalog, first, "1.out", {"copied": 10})
    assert not attempt_records.finish(catalog, first, "late.out", {})
    assert not attempt_records.lose(catalog, first, "late", give_up=True)
    (done,) = shards.listed(catalog, run.id, states=[ShardState.DONE])
    assert (done.outcome, done.tally) == ("1.out", {"copied": 10})
    assert attempt_records.start(catalog, run, [done], "node 1") == []


def test_two_that_start_the_same_shards_share_them(
    catalog: Catalog, catalog_url: str, run: Run
) -> None:
    sealed = shards.seal(catalog, run, [new_shard(seq) for seq in range(1200)])
    other = open_catalog(catalog_url)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(attempt_records.start, one, run, sealed, "x")
            for one in (catalog, other)
        ]
        started = [attempt.shard.id for job in jobs for attempt in job.result()]
    other.engine.dispose()
    assert sorted(started) == sorted(one.id for one in sealed)


def test_a_lost_attempt_leaves_its_token_to_the_next(
    catalog: Catalog, run: Run
) -> None:
    sealed = shards.seal(catalog, run, [new_shard(1)])
    (first,) = attempt_records.start(catalog, run, sealed, "node 1")
    assert attempt_records.lose(catalog, first, "killed \0 \udcff", give_up=False)
    (second,) = attempt_records.start(catalog, run, sealed, "node 2")
    assert (second.number, second.dead_tokens) == (2, (first.token,))
    assert not attempt_records.finish(catalog, first, "late.out", {})
    assert attempt_records.lose(catalog, second, "killed", give_up=True)
    lost = attempt_records.lost_tokens(catalog, run.id)
    assert [token for _, token in lost] == [first.token, second.token]
    assert {one.state for one, _ in lost} == {ShardState.FAILED}


def test_a_take_over_frees_what_was_running_or_had_failed(
    catalog: Catalog, run: Run
) -> None:
    sealed = shards.seal(catalog, run, [new_shard(seq) for seq in range(3)])
    done, failed, running = attempt_records.start(catalog, run, sealed, "node 1")
    attempt_records.finish(catalog, done, "0.out", {})
    attempt_records.lose(catalog, failed, "bad", give_up=True)
    taken = runs.take_over(catalog, run)
    assert not attempt_records.finish(catalog, running, "late.out", {})
    states = [one.state for one in shards.listed(catalog, run.id)]
    assert states == [ShardState.DONE, ShardState.READY, ShardState.READY]
    again = attempt_records.start(catalog, taken, sealed, "node 2")
    assert [one.dead_tokens for one in again] == [(failed.token,), (running.token,)]


def test_a_stale_driver_gets_nothing(catalog: Catalog, run: Run) -> None:
    sealed = shards.seal(catalog, run, [new_shard(1)])
    runs.take_over(catalog, run)
    with pytest.raises(LostRunError):
        attempt_records.start(catalog, run, sealed, "node 1")
    with pytest.raises(LostRunError):
        shards.seal(catalog, run, [new_shard(2)])
    with pytest.raises(LostRunError):
        shards.seal(catalog, run, [], Discovery(b"z", {}, finished=True))
    with pytest.raises(LostRunError):
        shards.drop_unfinished(catalog, run)
    assert [one.state for one in shards.listed(catalog, run.id)] == [ShardState.READY]


def test_what_is_not_done_is_dropped(catalog: Catalog, run: Run) -> None:
    sealed = shards.seal(catalog, run, [new_shard(seq) for seq in range(3)])
    done, running = attempt_records.start(catalog, run, sealed[:2], "node 1")
    attempt_records.finish(catalog, done, "0.out", {})
    assert shards.drop_unfinished(catalog, run) == 2
    assert not attempt_records.finish(catalog, running, "late.out", {})
    assert [token for _, token in attempt_records.lost_tokens(catalog, run.id)] == [
        running.token
    ]
    found = [(t.state, t.shards, t.bytes) for t in shards.totals(catalog, run.id)]
    assert found == [(ShardState.DONE, 1, 1000), (ShardState.DROPPED, 2, 2000)]
    runs.end(catalog, run, RunState.SUPERSEDED, {})


def test_shards_are_found_by_what_their_tallies_count(
    catalog: Catalog, run: Run
) -> None:
    sealed = shards.seal(catalog, run, [new_shard(seq) for seq in range(4)])
    tallies: tuple[dict[str, int], ...]
    tallies = ({"copied": 10}, {"failed": 1, "copied": 9}, {"failed": 0}, {})
    attempts = attempt_records.start(catalog, run, sealed, "here")
    for attempt, tally in zip(attempts[:3], tallies, strict=False):
        assert attempt_records.finish(catalog, attempt, "outcome", tally)

    def found(*names: str, round_: int = 0) -> list[int]:
        some = shards.counting(catalog, run.id, [Pass.COPY], [round_], names)
        return [shard.seq for shard in some]

    assert found("failed") == [1]
    assert found("failed", "copied") == [0, 1]
    assert found("failed", round_=1) == found("mismatch") == found() == []
    for pass_, round_ in ((Pass.VERIFY, 0), (Pass.COPY, 1)):
        later = shards.seal(catalog, run, [new_shard(round_, pass_, round_)])
        (attempt,) = attempt_records.start(catalog, run, later, "here")
        assert attempt_records.finish(catalog, attempt, "outcome", {"failed": 1})
    every = shards.counting(catalog, run.id, [*Pass], range(2), ["failed"])
    assert [(one.pass_, one.round) for one in every] == [
        (Pass.COPY, 0),
        (Pass.COPY, 1),
        (Pass.VERIFY, 0),
    ]
    assert shards.are_there(catalog, run.id, Pass.COPY)
    assert shards.are_there(catalog, run.id, Pass.COPY, 0, [ShardState.RUNNING])
    assert not shards.are_there(catalog, run.id, Pass.COPY, 0, [ShardState.FAILED])
    assert not shards.are_there(catalog, run.id, Pass.COPY, 2)
    assert not shards.are_there(catalog, run.id, Pass.LINKS)


def test_attempts_may_outlive_their_driver(catalog: Catalog, run: Run) -> None:
    sealed = shards.seal(catalog, run, [new_shard(seq) for seq in range(3)])
    done, left, lost = attempt_records.start(catalog, run, sealed, "node 1")
    attempt_records.finish(catalog, done, "0.out", {})
    attempt_records.lose(catalog, lost, "killed", give_up=False)
    (again,) = attempt_records.start(catalog, run, sealed, "node 2")
    taken = runs.take_over(catalog, run, keeps_attempts=True)
    running = attempt_records.running(catalog, taken)
    assert [(one.token, one.dead_tokens) for one in running] == [
        (left.token, ()),
        (again.token, (lost.token,)),
    ]
    assert attempt_records.finish(catalog, running[0], "1.out", {})
    assert attempt_records.lose(catalog, running[1], "killed", give_up=False)
    assert attempt_records.running(catalog, taken) == []
