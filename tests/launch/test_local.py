import os
import signal
from dataclasses import replace

import pytest

from haulage.launch.launcher import NOTHING
from haulage.launch.local import LocalPool
from haulage.place import Place
from tests.engine_builders import (
    action_on,
    allocate_huge,
    job_between,
    order_for,
    put,
    until,
)
from tests.trees.compare import leftovers

HUGE_TOKEN = "bbbbbbbbbbbb"  # as an attempt has it, so that its temporary is known


@pytest.fixture
def place(tmp_path):
    for name in ("s", "t", "w"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def pools(tmp_path):
    """Give a way to make pools, which are closed with the test."""
    made: list[LocalPool] = []

    def make(movers: int) -> LocalPool:
        made.append(LocalPool(movers, tmp_path / "logs"))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def order_of(place, token: str, **job):
    put(place / "s", token.encode(), b"content")
    actions = [action_on(place / "s", token.encode())]
    wanted = replace(job_between(place / "s", place / "t"), **job)
    return order_for(place / "w", actions, wanted, token)


@pytest.fixture
def huge(place):
    """Give an order that takes long."""
    allocate_huge(place / "s" / "huge")
    actions = [action_on(place / "s", b"huge")]
    job = job_between(place / "s", place / "t")
    return order_for(place / "w", actions, job, HUGE_TOKEN)


def answers_of(pool: LocalPool, name: str, count: int) -> dict:
    """Return the next `count` answers by their tokens."""
    found: dict = {}

    def complete() -> bool:
        found.update({answer.token: answer for answer in pool.poll(name, 1)})
        return len(found) >= count

    until(complete)
    return found


def pids_of(pool: LocalPool) -> list[int]:
    return [feeder._process.pid for feeder in pool._feeders if feeder._process]


def is_alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("movers", [1, 3])
def test_every_order_is_answered_with_its_tally(place, pools, movers):
    pool = pools(movers)
    tokens = [f"t{number:03}" for number in range(20)]
    pool.start_or_attach("job", [order_of(place, token) for token in tokens], NOTHING)
    answers = answers_of(pool, "job", len(tokens))
    assert sorted(answers) == tokens
    assert all(answer.tally["copied"] == 1 for answer in answers.values())
    assert sorted(os.listdir(place / "t")) == tokens


def test_answers_go_to_the_job_that_ordered(place, pools):
    pool = pools(2)
    pool.start_or_attach("a", [order_of(place, "a1"), order_of(place, "a2")], NOTHING)
    pool.start_or_attach("b", [order_of(place, "b1")], NOTHING)
    assert sorted(answers_of(pool, "a", 2)) == ["a1", "a2"]
    assert sorted(answers_of(pool, "b", 1)) == ["b1"]
    assert pool.poll("a", 0) == []


def test_a_mover_does_one_order_after_the_other(place, pools):
    pool = pools(1)
    pool.start_or_attach("job", [order_of(place, "first")], NOTHING)
    answers_of(pool, "job", 1)
    before = pids_of(pool)
    pool.start_or_attach("job", [order_of(place, f"t{n}") for n in range(5)], NOTHING)
    answers_of(pool, "job", 5)
    assert len(before) == 1
    assert pids_of(pool) == before


def test_a_fatal_error_is_answered_and_the_mover_goes_on(place, pools):
    pool = pools(1)
    bad = order_of(place, "bad", target=Place("/nonexistent/root"))
    pool.start_or_attach("job", [bad, order_of(place, "good")], NOTHING)
    answers = answers_of(pool, "job", 2)
    assert "/nonexistent/root" in answers["bad"].fatal
    assert answers["good"].tally["copied"] == 1


def test_a_killed_mover_is_lost_and_the_next_order_has_a_new_one(place, pools, huge):
    pool = pools(1)
    pool.start_or_attach("job", [huge, order_of(place, "next")], NOTHING)
    until(lambda: leftovers(place / "t"))
    (pid,) = pids_of(pool)
    os.kill(pid, signal.SIGKILL)
    answers = answers_of(pool, "job", 2)
    assert answers[HUGE_TOKEN].tally is None
    assert "SIGKILL" in answers[HUGE_TOKEN].lost
    assert str(pid) in answers[HUGE_TOKEN].lost
    assert answers["next"].tally["copied"] == 1
    assert pids_of(pool) != [pid]


def test_a_mover_that_was_killed_while_idle_is_replaced(place, pools):
    pool = pools(1)
    pool.start_or_attach("job", [order_of(place, "first")], NOTHING)
    answers_of(pool, "job", 1)
    (pid,) = pids_of(pool)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pool._feeders[0]._process.poll() is not None)
    pool.start_or_attach("job", [order_of(place, "second")], NOTHING)
    assert answers_of(pool, "job", 1)["second"].tally["copied"] == 1


def test_a_mover_that_dies_tells_its_last_words(place, pools):
    pool = pools(1)
    order = order_of(place, "broken")
    order.shard.unlink()
    pool.start_or_attach("job", [order], NOTHING)
    answer = answers_of(pool, "job", 1)["broken"]
    assert "exit code 1" in answer.lost
    assert "No such file" in answer.lost


def test_a_cancel_drops_what_waits_and_answers_it(place, pools, huge):
    pool = pools(1)
    waiting = [order_of(place, f"w{number}") for number in range(3)]
    pool.start_or_attach("job", [huge, *waiting], NOTHING)
    pool.start_or_attach("other", [order_of(place, "other")], NOTHING)
    until(lambda: leftovers(place / "t"))
    pool.cancel("job")
    answers = answers_of(pool, "job", 3)
    dropped = [answers[token] for token in ("w0", "w1", "w2")]
    assert all(answer.cancelled for answer in dropped)
    assert not (place / "t" / "w0").exists()
    assert answers_of(pool, "other", 1)["other"].tally["copied"] == 1


def test_a_cancel_tells_what_is_under_way_to_stop(place, pools, huge):
    pool = pools(1)
    pool.start_or_attach("job", [huge], NOTHING)
    until(lambda: leftovers(place / "t"))
    pool.cancel("job")
    (answer,) = until(lambda: pool.poll("job", 0.5))
    assert answer.cancelled
    assert os.listdir(place / "t") == []


def test_a_job_of_that_name_goes_on_and_nothing_is_done_twice(place, pools):
    pool = pools(1)
    orders = [order_of(place, f"t{number}") for number in range(4)]
    pool.start_or_attach("job", orders, NOTHING)
    pool.start_or_attach("job", orders, NOTHING)
    pool.start_or_attach("end", [order_of(place, "end")], NOTHING)
    answers_of(pool, "end", 1)
    tokens = [answer.token for answer in pool.poll("job", 0)]
    assert sorted(tokens) == ["t0", "t1", "t2", "t3"]


def test_closing_ends_every_process_and_leaves_no_temporary(place, pools, huge):
    pool = pools(2)
    pool.start_or_attach("job", [huge, order_of(place, "a")], NOTHING)
    until(lambda: leftovers(place / "t"))
    pids = pids_of(pool)
    assert pids
    pool.close()
    assert not any(is_alive(pid) for pid in pids)
    assert leftovers(place / "t") == []
    answers = {answer.token: answer for answer in pool.poll("job", 0)}
    assert answers[HUGE_TOKEN].cancelled


def test_closing_an_idle_pool_ends_its_processes(place, pools):
    pool = pools(2)
    pool.start_or_attach("job", [order_of(place, "a")], NOTHING)
    answers_of(pool, "job", 1)
    pids = pids_of(pool)
    pool.close()
    assert pids
    assert not any(is_alive(pid) for pid in pids)


def test_where_names_this_process(pools):
    assert str(os.getpid()) in pools(1).where
