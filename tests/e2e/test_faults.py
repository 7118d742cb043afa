"""Disks that fail, fill up or become read-only, and databases that go away."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.place import FEW, Ended, Place, grow_old, write
from tests.e2e.processes import of_place, outcomes_in, start, wait_until
from tests.trees.compare import assert_same, leftovers

FILES = 40
ONE_EACH = tuple(word for name, count in FEW.items() for word in (f"--{name}", count))
KEPT = b"as it was"


@pytest.fixture
def synced(place: Place) -> Place:
    """Return a place whose target is equal, and whose source was edited since."""
    for number in range(FILES):
        write(place.source / f"d{number % 4}" / f"f{number}", KEPT)
    place.sync()
    for number in range(FILES):
        write(place.source / f"d{number % 4}" / f"f{number}", b"edited " * 20_000)
    grow_old()
    return place


def with_fault(
    place: Place, fault: str, *options: str, only: Path | None = None
) -> Ended:
    """Sync while the kernel says that something fails, to every process of the run."""
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}"]
    strace += ["-P", str(only)] if only else []
    words = place.command(
        *("sync", place.source, place.target, "--name", place.name, "--json"),
        *(*map(str, ONE_EACH), *options),
    )
    done = subprocess.run(
        [*strace, *words],
        env=place.environment(),
        cwd=place.root,
        capture_output=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_mended(place: Place) -> None:
    """Sync without any fault, and look that nothing is left of it."""
    ended = place.sync_by_command("--delete", "guarded", "--max-delete-share", "1")
    assert ended.code == 0, ended.text
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []


@pytest.mark.parametrize(
    "call", ["readv", pytest.param("copy_file_range", marks=pytest.mark.torture)]
)
def test_a_file_that_can_not_be_read_is_listed_and_its_old_version_kept(
    synced: Place, call: str
) -> None:
    bad = synced.source / "d1" / "f1"
    if call == "copy_file_range":  # by the kernel
        write(bad, b"large " * 500_000)
    ended = with_fault(synced, f"{call}:error=EIO", "--verify", "none", only=bad)
    assert ended.code == 1, ended.text
    assert ended.summary()["copied"] == FILES - 1
    (path,) = synced.failures()
    assert path == b"d1/f1"
    assert "Input/output error" in synced.failures()[path].reason
    assert (synced.target / "d1" / "f1").read_bytes() == KEPT
    assert leftovers(synced.target) == []
    assert_mended(synced)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("EIO", "unreadable"),
        pytest.param("ENOTDIR", "unstable", marks=pytest.mark.torture),
    ],
)
def test_of_a_directory_that_can_not_be_listed_nothing_is_lost(
    synced: Place, error: str, status: str
) -> None:
    os.unlink(synced.source / "d1" / "f1")
    ended = with_fault(
        synced,
        f"getdents64:error={error}",
        *("--delete", "guarded"),
        only=synced.source / "d1",
    )
    assert ended.code == 1, ended.text
    assert {path: told.status for path, told in synced.failures().items()} == {
        b"d1/": status
    }
    assert (synced.target / "d1" / "f1").read_bytes() == KEPT
    assert ended.summary()["deleted"] == 0
    assert_mended(synced)


@pytest.mark.parametrize(
    "fault",
    [
        "renameat:error=EIO:when=7",
        pytest.param("fchmod:error=EIO:when=7", marks=pytest.mark.torture),
        pytest.param("utimensat:error=EIO:when=7", marks=pytest.mark.torture),
    ],
)
def test_what_fails_for_one_file_is_told_of_one_file(synced: Place, fault: str) -> None:
    ended = with_fault(synced, fault)
    assert ended.code == 1, ended.text
    (path,) = synced.failures()
    assert "Input/output error" in synced.failures()[path].reason
    assert (synced.target / os.fsdecode(path)).read_bytes() == KEPT
    assert ended.summary()["copied"] == FILES - 1
    assert leftovers(synced.target) == []
    assert_mended(synced)


def test_what_can_not_be_forced_to_disk_is_not_called_done(synced: Place) -> None:
    ended = with_fault(synced, "fsync:error=EIO:when=3", "--fsync", "file")
    assert ended.code in (1, 2), ended.text
    assert "nput/output error" in ended.text or synced.failures()
    assert_mended(synced)


def test_a_target_that_becomes_read_only_ends_the_run_which_can_be_resumed(
    synced: Place,
) -> None:
    ended = with_fault(synced, "renameat:error=EROFS:when=9+")
    assert ended.code == 2
    assert "Read-only file system" in ended.text
    assert synced.last_run().state == "failed"
    resumed = synced.haulage("resume", synced.last_run().id, "--json")
    assert resumed.code == 0, resumed.text
    assert_mended(synced)


def test_too_few_descriptors_end_the_run_in_words(synced: Place) -> None:
    words = synced.command("sync", synced.source, synced.target, "--name", synced.name)
    limited = ["prlimit", "--nofile=48", *words, *map(str, ONE_EACH)]
    done = subprocess.run(
        limited, env=synced.environment(), capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert "Too many open files" in done.stderr
    assert_mended(synced)


@pytest.fixture(
    params=["size=2m", pytest.param("size=64m,nr_inodes=30", marks=pytest.mark.torture)]
)
def small_target(place: Place, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Return a place whose target has too little room for content, or for names."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    place.target.mkdir()
    options = ["-t", "tmpfs", "-o", request.param, "tmpfs", str(place.target)]
    subprocess.run(["mount", *options], check=True)
    yield place
    subprocess.run(["umount", place.target], check=True)


def test_a_full_target_ends_the_run_in_words_and_more_room_finishes_it(
    small_target: Place,
) -> None:
    for number in range(FILES):
        write(small_target.source / f"f{number:03}", os.urandom(100_000))
    ended = small_target.sync_by_command(*map(str, ONE_EACH))
    assert ended.code == 2, ended.out
    assert "No space left on device" in ended.text
    assert "--only delete --delete guarded" in ended.text
    assert leftovers(small_target.target) == []
    command = ["mount", "-o", "remount,size=64m,nr_inodes=1000"]
    subprocess.run([*command, small_target.target], check=True)
    resumed = small_target.haulage("resume", small_target.last_run().id, "--json")
    assert resumed.code == 0, resumed.text
    assert_mended(small_target)


def test_a_mover_that_hangs_for_a_while_only_delays(synced: Place) -> None:
    words = ("sync", synced.source, synced.target, "--name", synced.name, "--json")
    process = start(synced, *words, "--shard-entries", "2", "--movers", "2")
    wait_until(lambda: outcomes_in(synced) >= 2, process)
    hung = of_place(synced, "haulage.mover")[:1]
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    for pid in hung:
        os.kill(pid, signal.SIGCONT)
    out, err = process.communicate()
    assert process.returncode == 0, (out, err)
    assert_mended(synced)


def test_a_name_that_is_listed_and_never_found_is_a_failure_and_not_gone(
    synced: Place,
) -> None:
    named = Path("f1")  # as the call has it, beside its directory's descriptor
    ended = with_fault(synced, "statx:error=ENOENT", "--delete", "guarded", only=named)
    assert ended.code == 1, ended.text
    assert ended.summary()["deleted"] == ended.summary()["kept"] == 0
    told = {path: failure.reason for path, failure in synced.failures().items()}
    assert list(told) == [b"d1/f1"]
    assert "lists the name" in told[b"d1/f1"]
    assert (synced.target / "d1" / "f1").read_bytes() == KEPT
    assert_mended(synced)
