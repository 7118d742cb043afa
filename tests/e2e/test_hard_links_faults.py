"""Groups of hard links come through kills, failures, limits and tears."""

import os
import shutil
import subprocess

import pytest

from haulage.catalog.runs.shards import ShardState
from haulage.model import Pass, Verified
from tests.e2e.linked import link, night
from tests.e2e.place import GUARDED, Before, Place, grow_old, write
from tests.e2e.processes import kill, of_place, start, wait_until
from tests.trees.compare import Aspect, assert_same, differences, leftovers


def kill_while_it_links(place: Place) -> None:
    """Sync, and kill the driver when the first shard of links is done."""
    ends = (place.source, place.target, "--name", place.name)
    process = start(place, "sync", *ends, "--shard-entries", "50", "--movers", "2")
    wait_until(lambda: any(place.home.glob("work/*/outcomes/links-*.parquet")), process)
    kill(process.pid)
    process.communicate()
    wait_until(lambda: not of_place(place))


def test_a_run_killed_while_it_links_goes_on(place: Place) -> None:
    write(place.source / "000", b"many")
    link(place, "000", *(f"{number % 7}/{number}" for number in range(1500)))
    write(place.source / "1" / "own", b"own")
    kill_while_it_links(place)
    run = place.last_run()
    before = [shard for shard in place.shards_of(run.id) if shard.pass_ is Pass.LINKS]
    assert len(before) >= 30
    assert any(shard.state is not ShardState.DONE for shard in before)
    ended = place.haulage("resume", run.id, "--json")
    assert ended.code == 0, ended.text
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
    assert place.sync(**GUARDED).copied == 0


@pytest.mark.torture
def test_a_run_killed_while_it_links_is_superseded(place: Place) -> None:
    write(place.source / "000", b"many")
    link(place, "000", *(f"{number % 7}/{number}" for number in range(1500)))
    kill_while_it_links(place)
    write(place.source / "000", b"edited since")
    night(place)


def test_a_directory_in_which_a_lost_mover_had_linked_has_its_own_time(
    linked: Place,
) -> None:
    target = linked.target

    def as_one_that_is_killed_before_it_tells() -> None:
        os.link(target / "a" / "one", target / "b" / "c" / ".temporary")
        os.rename(target / "b" / "c" / ".temporary", target / "b" / "c" / "three")

    write(linked.source / "a" / "one", b"longer than before")
    lost = Before("hard links", as_one_that_is_killed_before_it_tells)
    night(linked, runner=lost)


def test_members_of_a_leader_that_fails_fail_with_it_and_follow_it_later(
    linked: Place,
) -> None:
    source, target = linked.source, linked.target
    write(source / "lead", b"will be blocked")
    link(linked, "lead", "x/one", "x/two")
    write(target / "lead" / "foreign", b"kept")
    summary = linked.sync(**GUARDED)
    assert (summary.exit_code, summary.failed) == (1, 3)
    failures = linked.failures()
    assert set(failures) == {b"lead", b"x/one", b"x/two"}
    assert {failure.status for failure in failures.values()} == {"blocked"}
    inode = os.stat(source / "lead").st_ino
    assert f"inode {inode}" in failures[b"x/one"].reason
    assert not (target / "x" / "one").exists()
    (target / "lead" / "foreign").unlink()
    night(linked)


def test_a_target_whose_names_were_torn_apart_is_left_alone_until_they_change(
    linked: Place,
) -> None:
    name = linked.target / "z"
    found = name.stat()
    name.unlink()
    name.write_bytes(b"first")
    os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns))
    os.chmod(linked.source / "a" / "one", 0o604)
    night(linked)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
def test_what_can_not_be_linked_is_copied_once_and_told(linked: Place) -> None:
    link(linked, "z", "mounted/one", "mounted/two")
    mount = linked.target / "mounted"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "none", str(mount)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        summary = linked.sync()
        assert (summary.exit_code, summary.copied, summary.lost) == (0, 2, 2)
        assert any("2 entries lost their hard link" in note for note in summary.notes)
        lost = linked.failures()[b"mounted/one"]
        assert lost.status == "lost"
        assert "not kept: Invalid cross-device link" in lost.reason
        no_links = frozenset({Aspect.LINKS})
        assert differences(linked.source, linked.target, ignore=no_links) == []
        assert linked.manifest()[b"mounted/one"]["verified"] == Verified.CHECKSUM
        grow_old()
        linked.sync()
        assert linked.sync().unchanged == linked.sync().listed
        assert linked.haulage("verify", linked.name).code == 0
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize(
    "name", ["a/one", pytest.param("z", marks=pytest.mark.torture)]
)
def test_verify_finds_names_that_were_torn_apart_and_the_next_run_links_them(
    linked: Place, name: str
) -> None:
    torn = linked.target / name
    above = torn.parent.stat()
    copy = linked.root / "copy"
    shutil.copy2(torn, copy)
    copy.rename(torn)
    os.utime(torn.parent, ns=(above.st_atime_ns, above.st_mtime_ns))
    ended = linked.haulage("verify", linked.name)
    assert ended.code == 1
    others = {b"a/two", b"b/c/three", b"z"}
    assert set(linked.failures()) == (others if name == "a/one" else {b"z"})
    for failure in linked.failures().values():
        assert "is no longer the same file as a/one in the target" in failure.reason
        assert "the next run links them again" in failure.reason
    night(linked)
    assert linked.haulage("verify", linked.name).code == 0


@pytest.mark.torture
def test_all_names_are_verified_by_one_look(linked: Place) -> None:
    assert linked.haulage("verify", linked.name).code == 0
    (linked.target / "z").write_bytes(b"fIrst")
    found = (linked.source / "z").stat()
    os.utime(linked.target / "z", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert linked.haulage("verify", linked.name).code == 1
    assert set(linked.failures()) == {b"a/one", b"a/two", b"b/c/three", b"z"}
    assert night(linked).copied == 1
