"""A mover as it runs: a process that reads orders and answers with lines."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from haulage.exchange.progress_file import PROGRESS
from haulage.exchange.shard_files import read_outcomes
from haulage.model import Status, Verb
from haulage.place import Place
from haulage.storage.tree.files import temp_name
from tests.engine_builders import (
    action_on,
    actions_table,
    allocate_huge,
    checksum_of,
    job_between,
    order_for,
    put,
    read,
    until,
)
from tests.stores import PART
from tests.trees.build import plant
from tests.trees.compare import assert_same, leftovers
from tests.trees.walk import below, opened

VERB_OF = {0o040000: Verb.MKDIR, 0o100000: Verb.COPY, 0o120000: Verb.LINK}


class Mover:
    """One mover process."""

    def __init__(self) -> None:
        self.process: Any = subprocess.Popen(
            [sys.executable, "-m", "haulage.workers.mover"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def order(self, order) -> None:
        self.process.stdin.write(order.to_line())
        self.process.stdin.flush()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode()
        return json.loads(line)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


@pytest.fixture
def start():
    """Give a way to start movers, which end with the test."""
    movers: list[Mover] = []

    def started() -> Mover:
        movers.append(Mover())
        return movers[-1]

    yield started
    for mover in movers:
        mover.close()


@pytest.fixture
def mover(start):
    return start()


def tree_actions(root) -> list:
    with opened(os.fsencode(root)) as fd:
        found = [
            (path + b"/" if info.st_mode >> 12 == 4 else path, info.st_mode & 0o170000)
            for path, info in below(fd)
        ]
    return [action_on(root, path, VERB_OF[kind]) for path, kind in sorted(found)]


def dir_actions(root, actions) -> list:
    dirs = [action.path for action in actions if action.verb == Verb.MKDIR]
    return [action_on(root, p, Verb.DIR) for p in [*sorted(dirs, reverse=True), b""]]


@pytest.fixture
def orders(ends, tmp_path):
    """Give a way to make an order between the ends."""

    def make(actions, token="abcdefabcdef", **job):
        wanted = replace(job_between(ends.source, ends.target), **job)
        return order_for(tmp_path / "w", actions, wanted, token)

    return make


@pytest.fixture
def huge(ends):
    """Give an action on a file that takes long to copy."""
    allocate_huge(ends.source / "huge")
    return action_on(ends.source, b"huge")


def test_a_nasty_tree_arrives_whole(ends, mover, orders):
    plant(ends.source, seed=4, entries=700)
    actions = tree_actions(ends.source)
    order = orders(actions)
    mover.order(order)
    answer = mover.answer()
    assert answer["token"] == order.token
    assert sum(answer["tally"].values()) - answer["tally"]["bytes"] == len(actions)
    mover.order(orders(dir_actions(ends.source, actions), "dddddddddddd"))
    assert "tally" in mover.answer()
    assert_same(ends.source, ends.target)
    rows = read_outcomes(order.outcome)
    assert rows["path"].to_pylist() == [action.path for action in actions]
    assert rows["verb"].to_pylist() == [action.verb for action in actions]
    done, moved = PROGRESS.unpack(order.progress.read_bytes())
    assert (done, moved) == (len(actions), answer["tally"]["bytes"])


def test_each_order_is_answered_in_turn_and_the_end_of_input_ends_it(
    ends, mover, orders
):
    for name in (b"a", b"b", b"c"):
        put(ends.source, name, name)
        order = orders([action_on(ends.source, name)], f"{name.decode()}00000000000")
        mover.order(order)
    assert [mover.answer()["token"][0] for _ in range(3)] == ["a", "b", "c"]
    mover.process.stdin.close()
    assert mover.process.wait(60) == 0
    assert sorted(os.listdir(ends.target)) == ["a", "b", "c"]


def test_one_bad_entry_does_not_end_a_shard(ends, mover, orders):
    names = [b"blocked", b"fine", b"gone", b"link/x"]
    for name in names:
        put(ends.source, name, b"x")
    put(ends.target, b"blocked/inside", b"theirs")
    actions = [action_on(ends.source, name) for name in names]
    os.unlink(ends.source / "gone")
    os.rename(ends.source / "link", ends.source / "moved")
    os.symlink("moved", ends.source / "link")
    mover.order(order := orders(actions))
    assert mover.answer()["tally"]["copied"] == 1
    rows = read_outcomes(order.outcome)
    assert rows["status"].to_pylist() == [
        Status.BLOCKED,
        Status.COPIED,
        Status.VANISHED,
        Status.VANISHED,
    ]
    assert all(rows["reason"][row].as_py() for row in (0, 2, 3))


def test_an_error_of_the_system_is_one_entrys_failure_with_its_errno(
    ends, mover, orders
):
    put(ends.source, b"x", b"x")
    good = action_on(ends.source, b"x")
    mover.order(order := orders([good._replace(path=b"n" * 300), good]))
    assert mover.answer()["tally"]["failed"] == 1
    rows = read_outcomes(order.outcome).to_pylist()
    assert (rows[0]["status"], rows[0]["errno"]) == (Status.FAILED, 36)
    assert rows[1]["status"] == Status.COPIED


@pytest.mark.parametrize("hashing", [True, False])
def test_a_signal_in_the_middle_of_a_large_file_leaves_no_temporary(
    ends, mover, orders, huge, hashing
):
    put(ends.target, b"huge", b"old")
    mover.order(orders([huge], hashing=hashing))
    until(lambda: leftovers(ends.target))
    mover.process.send_signal(signal.SIGTERM)
    answer = mover.answer()
    assert "cancelled" in answer
    assert os.listdir(ends.target) == ["huge"]
    assert read(ends.target, b"huge") == b"old"


def test_a_mover_that_is_told_to_stop_many_times_ends_as_if_told_once(
    ends, mover, orders
):
    put(ends.source, b"a", b"a")
    mover.order(orders([action_on(ends.source, b"a")]))
    assert "tally" in mover.answer()
    for _ in range(500):
        mover.process.send_signal(signal.SIGTERM)
    assert mover.process.wait(20) == 0


def test_an_interrupt_is_left_to_who_ordered(ends, mover, orders):
    put(ends.source, b"a", b"a")
    mover.order(orders([action_on(ends.source, b"a")]))
    assert "tally" in mover.answer()
    mover.process.send_signal(signal.SIGINT)
    mover.order(orders([action_on(ends.source, b"a")], "bbbbbbbbbbbb"))
    assert "tally" in mover.answer()


def test_the_end_of_input_in_the_middle_of_a_large_file_ends_it(
    ends, mover, orders, huge
):
    mover.order(orders([huge]))
    until(lambda: leftovers(ends.target))
    mover.process.stdin.close()
    assert mover.process.wait(60) == 0
    assert os.listdir(ends.target) == []


def test_a_mover_whose_answers_nobody_reads_ends_without_a_crash(ends, mover, orders):
    put(ends.source, b"a", b"a")
    mover.process.stdout.close()
    mover.order(orders([action_on(ends.source, b"a")]))
    assert mover.process.wait(60) == 1


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_root_that_is_missing_is_fatal_and_named(ends, mover, orders, end):
    put(ends.source, b"a", b"a")
    order = orders([action_on(ends.source, b"a")], **{end: Place("/nonexistent/root")})
    mover.order(order)
    answer = mover.answer()
    assert answer["token"] == order.token
    assert "/nonexistent/root" in answer["fatal"]
    assert not order.outcome.exists()
    mover.order(orders([action_on(ends.source, b"a")], "bbbbbbbbbbbb"))
    assert "tally" in mover.answer()


def test_an_empty_source_is_fatal_before_anything_is_deleted(ends, mover, orders):
    put(ends.target, b"a", b"ours")
    action = action_on(ends.target, b"a", Verb.DELETE)
    mover.order(orders([action]))
    assert "empty" in mover.answer()["fatal"]
    assert read(ends.target, b"a") == b"ours"
    mover.order(orders([action], "bbbbbbbbbbbb", allow_empty_source=True))
    assert mover.answer()["tally"]["deleted"] == 1
    assert os.listdir(ends.target) == []


def test_a_verb_that_is_not_known_is_fatal_and_says_so(ends, mover, orders):
    put(ends.source, b"a", b"a")
    mover.order(orders([action_on(ends.source, b"a")._replace(verb=99)]))
    assert "99" in mover.answer()["fatal"]


def test_the_temporaries_of_dead_attempts_are_swept_first(ends, mover, orders):
    put(ends.source, b"d/a", b"a")
    put(ends.target, b"d/" + temp_name("dead00000000", 0), b"half")
    order = orders([action_on(ends.source, b"d/a")])
    mover.order(replace(order, dead_tokens=("dead00000000",)))
    assert mover.answer()["tally"]["copied"] == 1
    assert os.listdir(ends.target / "d") == ["a"]


def test_an_order_to_sweep_alone_moves_nothing(ends, mover, orders):
    put(ends.source, b"a", b"a")
    put(ends.target, temp_name("dead00000000", 0), b"half")
    order = orders([action_on(ends.source, b"a")])
    mover.order(replace(order, dead_tokens=("dead00000000",), only_sweep=True))
    assert mover.answer() == {"token": order.token, "tally": {}}
    assert os.listdir(ends.target) == []


def test_a_killed_mover_leaves_only_what_the_next_attempt_sweeps(
    ends, start, orders, huge
):
    put(ends.source, b"z", b"z")
    killed = start()
    killed.order(orders([huge, action_on(ends.source, b"z")], "dead00000000"))
    until(lambda: leftovers(ends.target))
    killed.process.kill()
    killed.process.wait()
    assert leftovers(ends.target) == [temp_name("dead00000000", 0)]
    os.truncate(ends.source / "huge", 5)
    again = orders([action_on(ends.source, b"huge"), action_on(ends.source, b"z")])
    mover = start()
    mover.order(replace(again, dead_tokens=("dead00000000",)))
    assert mover.answer()["tally"]["copied"] == 2
    assert sorted(os.listdir(ends.target)) == ["huge", "z"]


def test_two_movers_on_one_shard_at_once_end_in_the_same_target(ends, start, orders):
    plant(ends.source, seed=9, entries=400)
    put(ends.target, b"big-1/in the way", b"x")
    os.unlink(ends.target / "big-1" / "in the way")
    actions = tree_actions(ends.source)
    pair = [start(), start()]
    for mover, token in zip(pair, ("aaaaaaaaaaaa", "bbbbbbbbbbbb"), strict=True):
        mover.order(orders(actions, token))
    answers = [mover.answer()["tally"] for mover in pair]
    dirs = dir_actions(ends.source, actions)
    for mover, token in zip(pair, ("cccccccccccc", "dddddddddddd"), strict=True):
        mover.order(orders(dirs, token))
    assert all("tally" in mover.answer() for mover in pair)
    assert_same(ends.source, ends.target)
    assert [tally.get("failed", 0) for tally in answers] == [0, 0]
    assert answers[0]["copied"] == answers[1]["copied"]


def test_two_movers_that_delete_at_once_fail_at_nothing(ends, start, orders):
    put(ends.source, b"stays")
    names = [b"%03d" % number for number in range(900)]
    for name in names:
        put(ends.target, name, b"ours")
    actions = [action_on(ends.target, name, Verb.DELETE) for name in names]
    pair = [start(), start()]
    for mover, token in zip(pair, ("aaaaaaaaaaaa", "bbbbbbbbbbbb"), strict=True):
        mover.order(orders(actions, token))
    tallies = [mover.answer()["tally"] for mover in pair]
    assert os.listdir(ends.target) == []
    assert sum(tally.get("deleted", 0) for tally in tallies) == len(names)
    assert sum(tally.get("absent", 0) for tally in tallies) == len(names)


def test_split_parts_of_two_files_are_published_each_by_its_own(ends, mover, orders):
    contents = {b"a": os.urandom(PART + 7), b"b": os.urandom(2 * PART)}
    parts = []
    for path, content in contents.items():
        put(ends.source, path, content)
        for start, end in ((0, PART), (PART, len(content))):
            piece = {"offset": start, "length": end - start}
            parts.append(action_on(ends.source, path, Verb.PART, **piece))
    mover.order(orders(parts))
    assert mover.answer()["tally"]["part"] == 4
    ready = [part._replace(verb=Verb.PUBLISH) for part in parts]
    mover.order(order := orders(ready, "bbbbbbbbbbbb"))
    mover.answer()
    rows = read_outcomes(order.outcome)
    assert rows["status"].to_pylist() == [Status.PART, Status.COPIED] * 2
    assert rows["checksum"].to_pylist()[1::2] == [
        checksum_of(content) for content in contents.values()
    ]
    for path, content in contents.items():
        assert read(ends.target, path) == content


def test_a_shard_without_a_row_is_done_at_once(ends, mover, orders):
    assert actions_table([]).num_rows == 0
    mover.order(orders([]))
    assert mover.answer()["tally"] == {"bytes": 0, "lost": 0}
