"""Movers that are stopped in the middle of a file, and outlive their driver."""

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.place import GUARDED_OPTIONS, Place, grow_old, write
from tests.e2e.processes import kill, of_place, start, wait_until
from tests.trees.compare import assert_same, leftovers

_PR_SET_CHILD_SUBREAPER = 36
LARGE = 64 << 20  # bytes
OPTIONS = ("--movers", "2", "--shard-bytes", "4M", "--shard-entries", "9", "--json")


@pytest.fixture
def _adopting() -> Iterator[None]:
    """Become the parent of orphans, as the first process of a container is.

    Of an orphan without a parent in its session the kernel would see to it.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    yield
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def stopped(_adopting: None, place: Place) -> tuple[Place, int]:
    """Return a place whose driver was killed, and a mover that it left, stopped while
    it writes."""
    for name in ("large", "group/a"):
        write(place.source / name, b"O" * LARGE)
    for name in ("b", "c"):
        os.link(place.source / "group" / "a", place.source / "group" / name)
    for number in range(60):
        write(place.source / "small" / f"f{number}", b"O" * 9000)
    grow_old()
    words = ("sync", place.source, place.target, "--name", place.name)
    process = start(place, *words, *OPTIONS)
    found: list[int] = []
    wait_until(lambda: bool(found) or stop_one(place, found), process)
    kill(process.pid)
    process.communicate()
    assert found, "the run was over too soon"
    wait_until(lambda: set(of_place(place)) <= set(found))
    state = Path(f"/proc/{found[0]}/stat").read_text().rpartition(") ")[2][0]
    assert state == "T", "it shall be stopped still"
    return place, found[0]


def stop_one(place: Place, found: list[int]) -> bool:
    """Stop a mover if it has a temporary open; it is `found` then."""
    for pid in of_place(place, "haulage.mover"):
        os.kill(pid, signal.SIGSTOP)
        if writes(pid):
            found.append(pid)
            return True
        os.kill(pid, signal.SIGCONT)
    return False


def writes(pid: int) -> bool:
    """Tell whether a process has a temporary open."""
    try:
        names = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any("/target/" in name and "/.haulage-" in name for name in names)


@pytest.mark.parametrize(
    "then", ["resume", pytest.param("sync", marks=pytest.mark.torture)]
)
def test_a_stopped_mover_of_a_dead_driver_is_ended_before_its_work_goes_on(
    stopped: tuple[Place, int], then: str
) -> None:
    place, pid = stopped
    write(place.source / "large", b"N" * LARGE)
    write(place.source / "group" / "a", b"N" * LARGE)
    if then == "resume":
        ended = place.haulage("resume", place.last_run().id, "--json")
    else:
        ended = place.sync_by_command(*OPTIONS)
    assert ended.code == 0, (ended.text, place.failures())
    _, status = os.waitpid(pid, os.WNOHANG)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert of_place(place) == []
    grow_old()
    assert place.sync_by_command(*GUARDED_OPTIONS).code == 0
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
