"""Groups of hard links stay groups, night after night."""

import os
import shutil
import stat
import subprocess
from typing import Any

import pytest

from haulage.catalog.shards import ShardState
from haulage.model import Pass, Verified
from haulage.stages.crew import Summary
from tests.e2e.place import GUARDED, Before, Place, grow_old, paths_in, write
from tests.e2e.processes import kill, of_place, start, wait_until
from tests.trees.compare import Aspect, assert_same, differences, leftovers

SMALL: dict[str, Any] = {"shards": {"max_entries": 2}}


def link(place: Place, old: str, *names: str) -> None:
    for name in names:
        full = place.source / name
        full.parent.mkdir(parents=True, exist_ok=True)
        os.link(place.source / old, full)


def night(place: Place, **policy: Any) -> Summary:
    """Sync with deletes and tiny shards, and hold the target against the source."""
    summary = place.sync(**GUARDED, **SMALL, movers=2, **policy)
    assert (summary.exit_code, summary.failed) == (0, 0), place.failures()
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
    return summary


@pytest.fixture
def linked(place: Place) -> Place:
    """Give two groups that lie across directories, and are synced."""
    write(place.source / "a" / "one", b"first")
    link(place, "a/one", "a/two", "b/c/three", "z")
    write(place.source / "b" / "other", b"second")
    link(place, "b/other", "a/other")
    for number in range(9):
        write(place.source / "b" / f"single-{number}", b"%d" % number)
    summary = night(place)
    assert (summary.copied, summary.made) == (11, 4 + 4)  # with directories
    return place


def test_a_night_without_a_change_does_nothing(linked: Place) -> None:
    grow_old()
    night(linked)  # what was young is looked at once more
    summary = night(linked)
    assert (summary.copied, summary.made, summary.updated) == (0, 0, 0)
    assert summary.unchanged == summary.listed
    run = linked.last_run()
    assert linked.shards_of(run.id) == []


def test_a_group_grows(linked: Place) -> None:
    link(linked, "z", "new/four", "b/five")
    assert night(linked).copied == 0


def test_a_group_shrinks_and_its_leader_may_be_what_is_gone(linked: Place) -> None:
    os.unlink(linked.source / "a" / "one")
    assert night(linked).copied == 0
    os.unlink(linked.source / "z")
    os.unlink(linked.source / "a" / "two")
    assert night(linked).copied == 0


def test_a_leader_is_renamed(linked: Place) -> None:
    os.rename(linked.source / "a" / "one", linked.source / "b" / "renamed")
    assert night(linked).copied == 0


@pytest.mark.torture
def test_a_name_becomes_a_file_of_its_own(linked: Place) -> None:
    os.unlink(linked.source / "a" / "two")
    write(linked.source / "a" / "two", b"first")
    night(linked)
    write(linked.source / "a" / "two", b"is its own")
    os.chmod(linked.source / "b" / "c" / "three", 0o600)
    night(linked)


def test_a_group_is_split_in_two(linked: Place) -> None:
    source = linked.source
    for name in ("a/one", "a/two"):
        os.unlink(source / name)
    write(source / "a" / "one", b"first")
    link(linked, "a/one", "a/two")
    night(linked)


def test_the_last_other_name_goes(linked: Place) -> None:
    os.unlink(linked.source / "a" / "other")
    assert night(linked).copied == 0
    os.chmod(linked.source / "b" / "other", 0o600)
    night(linked)


def test_two_groups_become_one(linked: Place) -> None:
    for name in ("a/other", "b/other"):
        os.unlink(linked.source / name)
        link(linked, "a/one", name)
    assert night(linked).copied == 0


def test_single_files_become_a_group_and_a_group_singles(linked: Place) -> None:
    source = linked.source
    for number in range(1, 9):
        os.unlink(source / "b" / f"single-{number}")
        link(linked, "b/single-0", f"b/single-{number}")
    for name in ("a/one", "a/two", "b/c/three", "z"):
        os.unlink(source / name)
        write(source / name, b"first")
    night(linked)
    assert night(linked).copied == 0


@pytest.mark.parametrize(
    "name", ["a/one", pytest.param("z", marks=pytest.mark.torture)]
)
def test_a_change_through_any_name_reaches_all(linked: Place, name: str) -> None:
    file = linked.source / name
    with file.open("r+b") as opened:
        opened.write(b"FIRST AND MORE")
    assert night(linked).copied == 1
    os.chmod(file, 0o640)
    grow_old()
    assert night(linked).copied == 0
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert night(linked).copied == 1


def test_deletes_that_are_off_leave_old_names_as_they_were(linked: Place) -> None:
    os.unlink(linked.source / "z")
    os.chmod(linked.source / "a" / "one", 0o600)
    mode = (linked.target / "z").stat().st_mode
    assert linked.sync(**SMALL).exit_code == 0
    assert (linked.target / "z").stat().st_mode == mode
    assert (linked.target / "a" / "one").stat().st_mode & 0o777 == 0o600
    assert (linked.target / "b" / "c" / "three").stat().st_mode & 0o777 == 0o600
    assert (linked.target / "a" / "one").stat().st_nlink == 3


def test_an_excluded_name_is_not_of_the_group(linked: Place) -> None:
    write(linked.source / "x" / "one", b"filtered")
    link(linked, "x/one", "x/two", "x/three")
    filters = {"rules": ["- /x/two"]}
    assert linked.sync(**SMALL, filters=filters).exit_code == 0
    assert (linked.target / "x" / "one").samefile(linked.target / "x" / "three")
    assert not (linked.target / "x" / "two").exists()
    night(linked)


def test_three_thousand_names_of_one_file(place: Place) -> None:
    write(place.source / "000", b"many")
    link(place, "000", *(f"{number % 7}/{number}" for number in range(2999)))
    grow_old()
    summary = place.sync(movers=2, shards={"max_entries": 500})
    assert (summary.copied, summary.made) == (1, 2999 + 8)
    assert_same(place.source, place.target)
    os.chmod(place.source / "3" / "10", 0o604)
    assert place.sync(**GUARDED).copied == 0
    assert_same(place.source, place.target)
    assert place.sync(**GUARDED).unchanged == 3008


@pytest.mark.torture
def test_the_leader_may_be_a_file_that_several_movers_fill(linked: Place) -> None:
    write(linked.source / "large", os.urandom(1 << 20))
    link(linked, "large", "x/large", "a/large")
    policy: dict[str, Any] = {"shards": {"max_entries": 100, "max_bytes": 1 << 16}}
    summary = linked.sync(**policy, movers=2)
    assert (summary.exit_code, summary.copied) == (0, 1)
    assert_same(linked.source, linked.target)
    assert linked.manifest()[b"x/large"]["verified"] == Verified.CHECKSUM
    with (linked.source / "x" / "large").open("r+b") as file:
        file.write(b"changed")
    assert linked.sync(**policy, movers=2).copied == 1
    assert_same(linked.source, linked.target)


@pytest.mark.torture
def test_an_adopted_target_keeps_its_groups_and_gets_the_right_ones(
    place: Place,
) -> None:
    for number in range(6):
        write(place.source / f"{number}", b"same")
        os.utime(place.source / f"{number}", ns=(0, 5))
    link(place, "0", "x/a", "x/b")
    link(place, "1", "x/c")
    subprocess.run(["cp", "-a", place.source, place.target], check=True)
    for name, other in (("x/c", "2"), ("3", "4"), ("x/b", "5")):
        (place.target / name).unlink()
        os.link(place.target / other, place.target / name)
    night(place)
    assert night(place).copied == 0


def test_a_plan_shows_the_links(linked: Place) -> None:
    link(linked, "z", "new/four")
    done = linked.haulage(
        "plan", str(linked.source), str(linked.target), "--name", linked.name
    )
    assert done.code == 0, done.text
    assert b"hard    new/four" in done.out


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
    night(linked, crew=lost)


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


def test_a_directory_that_becomes_a_linked_file_is_replaced(linked: Place) -> None:
    for name in ("one", "two", "other"):
        (linked.source / "a" / name).unlink()
    (linked.source / "a").rmdir()
    link(linked, "z", "a")
    link(linked, "b/single-1", "b/c/of-one")
    night(linked)
    (linked.source / "b" / "c" / "three").unlink()
    (linked.source / "b" / "c" / "of-one").unlink()
    (linked.source / "b" / "c").rmdir()
    write(linked.source / "b" / "c", b"leads, and is blocked at first")
    link(linked, "b/c", "y/one", "y/two")
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


@pytest.fixture
def odd(place: Place) -> Place:
    """Give groups of what is no file, and are synced."""
    source = place.source
    os.symlink("anywhere", source / "link")
    os.mkfifo(source / "fifo")
    os.mknod(source / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for name in ("link", "fifo", "device"):
        for other in (f"a/{name}", f"z/{name}"):
            (source / other).parent.mkdir(exist_ok=True)
            os.link(source / name, source / other, follow_symlinks=False)
    write(source / "single")
    summary = night(place, preserve=["all"])
    assert (summary.copied, summary.made) == (1, 9 + 3)  # with directories
    return place


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_what_is_no_file_keeps_its_other_names_too(odd: Place) -> None:
    source = odd.source
    grow_old()
    night(odd, preserve=["all"])  # what was young is looked at once more
    quiet = night(odd, preserve=["all"])
    assert (quiet.made, quiet.updated, quiet.unchanged) == (0, 0, quiet.listed)
    for name in ("link", "fifo", "device"):
        os.link(source / name, source / f"new-{name}", follow_symlinks=False)
        os.unlink(source / "a" / name)
        os.utime(source / name, ns=(7, 7), follow_symlinks=False)
    night(odd, preserve=["all"])
    os.unlink(source / "z" / "fifo")
    os.mkfifo(source / "z" / "fifo")  # one of its own
    os.unlink(source / "z" / "link")
    os.link(source / "single", source / "z" / "link")  # of another kind
    night(odd, preserve=["all"])
    assert odd.haulage("verify", odd.name).code == 0, odd.failures()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_names_of_a_link_that_went_apart_in_the_target_are_found_and_joined(
    odd: Place,
) -> None:
    times = os.lstat(odd.target / "z" / "link")
    os.unlink(odd.target / "z" / "link")
    os.symlink("anywhere", odd.target / "z" / "link")
    stamps = (times.st_atime_ns, times.st_mtime_ns)
    os.utime(odd.target / "z" / "link", ns=stamps, follow_symlinks=False)
    os.utime(odd.target / "z", ns=(0, (odd.source / "z").stat().st_mtime_ns))
    assert odd.haulage("verify", odd.name).code == 1
    assert list(odd.failures()) == [b"z/link"]
    assert "no longer the same" in odd.failures()[b"z/link"].reason
    night(odd, preserve=["all"])


def test_what_is_left_out_is_told_once_however_many_names_it_has(place: Place) -> None:
    os.mkfifo(place.source / "fifo")
    link(place, "fifo", "other")
    write(place.source / "file")
    link(place, "file", "another")
    for _ in range(2):
        summary = place.sync(**SMALL)
        assert summary.notes == ("2 special files were left out",)
        assert paths_in(place.target) == {b"file", b"another"}
    grow_old()
    place.sync(**SMALL)
    assert place.sync(**SMALL).unchanged == 2 + 1
