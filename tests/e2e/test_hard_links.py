"""Groups of hard links stay groups, night after night."""

import os
import subprocess
from typing import Any

import pytest

from haulage.model import Verified
from tests.e2e.linked import SMALL, link, night
from tests.e2e.place import GUARDED, Place, grow_old, write
from tests.trees.compare import assert_same


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
    for byte, owner in ((b"2", before.st_uid), (b"3", 1234)):
        with file.open("r+b") as opened:
            opened.write(byte)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.chown(file, owner, owner)
        grow_old()
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


def test_a_name_that_was_left_out_of_a_copy_is_joined_when_it_takes_part(
    linked: Place,
) -> None:
    grow_old()
    night(linked)
    filters = {"rules": ["- /z", "- /b"]}
    assert linked.sync(**SMALL, filters=filters, compare="always").exit_code == 0
    assert (linked.target / "a" / "one").stat().st_nlink == 2
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
    write(linked.source / "large", os.urandom(33 << 20))
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
