"""A crowd in one directory: no process takes more for being shown more."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.nights import place_between
from tests.e2e.place import GUARDED_OPTIONS, Ended, Place
from tests.e2e.processes import of_place
from tests.mounts import FileSystem, mounted
from tests.trees.compare import assert_same

ENTRIES = int(os.environ.get("TORTURE_CROWD", "100000"))
CHANGES = ENTRIES // 1000
MOST_KIB = 300 << 10  # of any process
_SIZE = 8 << 30
_LOOK_EVERY_S = 0.2


@contextmanager
def watched(place: Place) -> Iterator[dict[str, int]]:
    """Note the most memory in KiB that any process of each kind had."""
    found: dict[str, int] = {}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_LOOK_EVERY_S):
            for kind in ("haulage.mover", "haulage.lister", ""):
                for pid in of_place(place, kind):
                    found[kind] = max(found.get(kind, 0), _most_kib(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _most_kib(pid: int) -> int:
    try:
        told = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:  # it has ended
        return 0
    return int(told[1]) if told else 0


def night(place: Place) -> Ended:
    """Sync and hold each process's memory against the bound."""
    with watched(place) as memory:
        ended = place.sync_by_command(*GUARDED_OPTIONS, f"--max-delete={ENTRIES}")
    print(f"{ended.summary()['seconds']} s, KiB: {memory}")
    assert ended.code == 0, ended.text
    assert max(memory.values()) <= MOST_KIB, memory
    return ended


def fill(directory: Path, names: Iterator[str]) -> None:
    """Make files without content, as quickly as it can be done."""
    fd = os.open(directory, os.O_RDONLY)
    for name in names:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)


@pytest.fixture
def in_memory(place: Place, tmp_path: Path) -> Iterator[Place]:
    """Return a place whose trees are in memory: disks take a second a thousand."""
    with mounted(FileSystem.TMPFS, tmp_path, size=_SIZE) as mount:
        yield place_between(place, mount / "source", mount / "target").place


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_crowd_in_one_directory_takes_no_more_memory_than_any_other(
    in_memory: Place,
) -> None:
    place = in_memory
    crowd = place.source / "crowd"
    crowd.mkdir()
    fill(crowd, (f"entry-{number:07}" for number in range(ENTRIES)))
    assert night(place).summary()["copied"] == ENTRIES
    night(place)  # what was young is looked at once more
    quiet = night(place).summary()
    assert (quiet["copied"], quiet["updated"], quiet["deleted"]) == (0, 0, 0)
    for number in range(CHANGES):
        (crowd / f"entry-{number * 7:07}").write_bytes(b"changed")
        (crowd / f"entry-{ENTRIES - 1 - number * 11:07}").unlink()
    fill(crowd, (f"new-{number}" for number in range(CHANGES)))
    changed = night(place).summary()
    assert (changed["copied"], changed["deleted"]) == (2 * CHANGES, CHANGES)
    assert_same(place.source, place.target.resolve())
    for name in os.listdir(crowd)[1:]:
        (crowd / name).unlink()
    assert night(place).summary()["deleted"] == ENTRIES - 1
    assert_same(place.source, place.target.resolve())
