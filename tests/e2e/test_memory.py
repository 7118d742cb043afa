"""Movers that run out of memory: told so, or killed for it by the kernel."""

import os
import resource
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from haulage.catalog.runs import attempts as attempt_records
from tests.e2e.place import GUARDED_OPTIONS, Place, grow_old, write
from tests.e2e.processes import kill, of_place, outcomes_in, start, wait_until
from tests.trees.compare import assert_same, leftovers
from tests.trees.walk import entries_of

FILES = 24
HUGE = 900 << 20  # bytes, allocated and never written: long enough to be met under way
OPTIONS = ("--shard-entries", "1", "--movers", "2", "--verify", "none", "--json")


@pytest.fixture
def planted(place: Place) -> Place:
    """Return a place with small files, each a shard of its own."""
    for number in range(FILES):
        write(place.source / f"f{number:02}", b"%d" % number)
    grow_old()
    return place


def begin(place: Place) -> "subprocess.Popen[bytes]":
    words = ("sync", place.source, place.target, "--name", place.name)
    return start(place, *words, *OPTIONS)


def assert_mended(place: Place) -> None:
    ended = place.sync_by_command(*GUARDED_OPTIONS)
    assert ended.code == 0, ended.text
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


def kill_the_greatest(place: Place) -> bool:
    """Kill each mover that has written much of one file, as the kernel chooses whom it
    kills for memory."""
    for pid in of_place(place, "haulage.mover"):
        with suppress(OSError):
            sizes = [fd.stat().st_size for fd in Path(f"/proc/{pid}/fd").iterdir()]
            if max(sizes, default=0) > 1 << 20:
                kill(pid)
    return False


@pytest.mark.torture
def test_a_shard_whose_movers_are_killed_each_time_fails_and_the_rest_goes_on(
    planted: Place,
) -> None:
    huge = write(planted.source / "huge")
    with huge.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, HUGE)
    process = begin(planted)
    wait_until(lambda: kill_the_greatest(planted), process)
    _, err = process.communicate()
    assert process.returncode == 1, err
    (path,) = planted.failures()
    assert path == b"huge"
    assert "1 entries from here on: every mover" in planted.failures()[path].reason
    lost = attempt_records.lost_tokens(planted.catalog(), planted.last_run().id)
    assert len(lost) == 3
    assert len(entries_of(planted.target)) == FILES
    assert leftovers(planted.target) == []
    os.truncate(huge, 5)
    grow_old()
    assert_mended(planted)


def test_a_mover_that_gets_no_more_memory_is_replaced(planted: Place) -> None:
    process = begin(planted)
    wait_until(lambda: outcomes_in(planted) >= 2, process)
    for pid in of_place(planted, "haulage.mover"):
        resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    out, err = process.communicate()
    assert process.returncode == 0, (out, err)
    assert b"Traceback" not in err
    assert attempt_records.lost_tokens(planted.catalog(), planted.last_run().id)
    assert_mended(planted)
