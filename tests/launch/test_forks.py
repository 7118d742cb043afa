"""Movers and listers are forked off one process, of which nobody needs to know."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from haulage import process
from haulage.errors import FatalError
from haulage.exchange.listing_pages import HUNGER_BYTES, HUNGER_FILE, Setup
from haulage.launch import forks
from haulage.launch.forks import Fork
from haulage.place import Place
from tests.engine_builders import until

Start = Callable[..., Fork]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a way to start movers, which end with the test."""
    made: list[Fork] = []

    def starting(kind: str = "mover", **environ: str) -> Fork:
        made.append(forks.start(kind, {**os.environ, **environ}))
        return made[-1]

    yield starting
    for fork in made:
        fork.kill()
        fork.wait()
        fork.close()


def parent_of(pid: int) -> int:
    found = process.find(pid)
    assert found
    return found.parent


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().strip(b"\0")


@pytest.mark.parametrize("kind", ["mover", "lister"])
def test_each_is_told_apart_by_ps_and_ends_with_its_input(
    start: Start, kind: str
) -> None:
    fork = start(kind)
    until(lambda: command_of(fork.pid) == b"haulage." + kind.encode())
    assert command_of(parent_of(fork.pid)) == b"haulage.forkserver"
    assert fork.poll() is None
    fork.stdin.close()
    assert fork.wait(60) == 0


def test_all_have_one_parent_and_groups_of_their_own(start: Start) -> None:
    made = [start(), start(), start("lister")]
    assert len({parent_of(fork.pid) for fork in made}) == 1
    until(lambda: all(os.getpgid(fork.pid) == fork.pid for fork in made))


def test_one_that_was_killed_tells_the_signal(start: Start) -> None:
    fork = start()
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0.01)
    fork.kill()
    assert fork.wait() == fork.poll() == -signal.SIGKILL
    fork.terminate()  # nobody is there to be told, and nobody else is


def test_each_has_the_environment_of_its_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / HUNGER_FILE).write_bytes(bytes(HUNGER_BYTES))
    setup = Setup(Place("s3://bucket").as_fields(), {}, tmp_path, 1, for_files=True)
    for profile in ("one-profile", "another-one"):
        fork = start("lister", AWS_PROFILE=profile, AWS_CONFIG_FILE="/dev/null")
        fork.stdin.write(json.dumps(setup.as_fields()).encode() + b"\n")
        assert profile in json.loads(fork.stdout.readline())["fatal"]


def test_what_is_forked_outlives_the_parent_and_the_next_has_a_new_one(
    start: Start,
) -> None:
    first = start()
    parent = parent_of(first.pid)
    os.kill(parent, signal.SIGKILL)
    second = start()
    assert parent_of(second.pid) != parent
    assert first.poll() is None
    first.stdin.close()
    assert first.wait(60) == 255  # whoever could tell is gone


def test_a_start_that_is_broken_off_leaves_nobody_and_spoils_no_later_one(
    start: Start,
) -> None:
    parent = parent_of(start().pid)
    before = set(children_of(parent))

    def interrupt(*_signal: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    os.kill(parent, signal.SIGSTOP)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        signal.signal(signal.SIGALRM, handler)
        os.kill(parent, signal.SIGCONT)
    later = start("lister")
    until(lambda: command_of(later.pid) == b"haulage.lister")
    left = set(children_of(parent)) - before - {later.pid}
    assert not any(map(process.find, left))


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_a_fork_of_the_driver_has_a_parent_of_its_own(start: Start) -> None:
    parent = parent_of(start().pid)
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        fork = forks.start("mover", os.environ)
        os.write(its, b"%d" % parent_of(fork.pid))
        fork.kill()
        fork.wait()
        forks._servers[-1].end()
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(ours, 20)) != parent
    os.close(ours)
    os.close(its)
    assert parent_of(start().pid) == parent


DRIVER = """
import os, sys, time
from haulage.launch import forks
print(forks.start("mover", os.environ).pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "at its end"])
def test_nobody_outlives_the_driver(end: signal.Signals | None) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert driver.stdin
    assert driver.stdout
    mover = int(driver.stdout.readline())
    parent = parent_of(mover)
    assert process.find(mover)
    if end:
        driver.send_signal(end)
    driver.communicate()
    until(lambda: not process.find(mover) and not process.find(parent))


def test_what_others_are_forked_off_ends_in_silence_with_a_driver_that_read_no_answer(
    tmp_path: Path,
) -> None:
    ours, its = socket.socketpair()
    command = [sys.executable, "-m", "haulage.workers.forkserver", str(its.fileno())]
    with its, (tmp_path / "said").open("wb") as said:
        server = subprocess.Popen(command, pass_fds=[its.fileno()], stderr=said)
    ours.sendall(b'{"reap": 1}\n')
    select.select([ours], [], [])
    ours.close()  # with an answer in it, as a killed driver does
    assert server.wait(60) == 0
    assert (tmp_path / "said").read_bytes() == b""


def test_what_can_be_forked_off_nothing_is_fatal(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(start().pid)
    (tmp_path / "setproctitle.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    os.kill(parent, signal.SIGKILL)
    with pytest.raises(FatalError, match="ended twice"):
        start()
    monkeypatch.undo()
    assert start().poll() is None
