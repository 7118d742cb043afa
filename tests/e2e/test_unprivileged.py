"""A user who is not root copies what he may, and says what he may not."""

import errno
import os
import stat

from tests.e2e.conftest import give_to_nobody
from tests.e2e.place import GUARDED_OPTIONS, Place, paths_in, write
from tests.trees.compare import OWNER, assert_same, differences, leftovers


def test_read_only_directories_are_filled_and_changed(nobodys_place: Place) -> None:
    source = nobodys_place.source
    deep = source / "a" / "b"
    write(deep / "file")
    write(source / "locked" / "gone")
    write(source / "locked" / "gone too" / "file")
    directories = (deep, deep.parent, source / "locked" / "gone too", source / "locked")
    give_to_nobody(source)
    for directory in directories:
        os.chmod(directory, 0o555)
    ended = nobodys_place.sync_by_command()
    assert ended.code == 0, ended.text
    assert_same(source, nobodys_place.target)
    write(deep / "new", b"new")
    write(deep / "file", b"edited")
    (source / "locked" / "gone").unlink()
    (source / "locked" / "gone too" / "file").unlink()
    (source / "locked" / "gone too").rmdir()
    give_to_nobody(source)
    ended = nobodys_place.sync_by_command(*GUARDED_OPTIONS)
    assert ended.code == 0, nobodys_place.failures()
    assert_same(source, nobodys_place.target)
    assert leftovers(nobodys_place.target) == []


def test_a_read_only_root_is_filled_and_changed(nobodys_place: Place) -> None:
    source = nobodys_place.source
    write(source / "file")
    give_to_nobody(source)
    os.chmod(source, 0o555)
    assert nobodys_place.sync_by_command().code == 0
    write(source / "file", b"edited")
    write(source / "new", b"new")
    give_to_nobody(source)
    ended = nobodys_place.sync_by_command()
    assert ended.code == 0, ended.text
    assert_same(source, nobodys_place.target)


def test_an_attribute_of_a_file_in_a_read_only_directory_is_set(
    nobodys_place: Place,
) -> None:
    source = nobodys_place.source
    write(source / "locked" / "file")
    write(source / "locked" / "file without modes")
    give_to_nobody(source)
    os.chmod(source / "locked" / "file without modes", 0o400)
    os.chmod(source / "locked", 0o500)
    assert nobodys_place.sync_by_command().code == 0
    os.chmod(source / "locked" / "file", 0o640)
    os.utime(source / "locked" / "file without modes", ns=(0, 7))
    ended = nobodys_place.sync_by_command()
    assert ended.code == 0, nobodys_place.failures()
    assert_same(source, nobodys_place.target)


def test_what_can_not_be_read_is_reported_and_nothing_below_it_is_deleted(
    nobodys_place: Place,
) -> None:
    source, target = nobodys_place.source, nobodys_place.target
    for name in ("open/one", "open/two", "shut/in/deep", "shut/file", "gone"):
        write(source / name)
    give_to_nobody(source)
    assert nobodys_place.sync_by_command().code == 0
    before = paths_in(target)
    os.chmod(source / "shut", 0)
    write(source / "open" / "new")
    (source / "gone").unlink()
    give_to_nobody(source / "open")
    for _ in range(2):
        ended = nobodys_place.sync_by_command(*GUARDED_OPTIONS)
        assert (ended.code, ended.summary()["failed"]) == (1, 1), ended.text
        run = ended.summary()["run_id"]
        told = nobodys_place.haulage("failures", run, "--json").lines()
        assert [(row["path"], row["status"], row["errno"]) for row in told] == [
            ("shut/", "unreadable", errno.EACCES)
        ]
        assert paths_in(target) == before - {b"gone"} | {b"open/new"}
        assert stat.S_IMODE(os.lstat(target / "shut").st_mode) == 0, "as its source"
    os.chmod(source / "shut", 0o755)
    ended = nobodys_place.sync_by_command(*GUARDED_OPTIONS)
    assert (ended.code, ended.summary()["copied"]) == (0, 0)
    assert_same(source, target)


def test_a_file_that_can_not_be_read_is_reported_and_the_rest_copied(
    nobodys_place: Place,
) -> None:
    source, target = nobodys_place.source, nobodys_place.target
    write(source / "shut")
    write(source / "open")
    give_to_nobody(source)
    os.chmod(source / "shut", 0)
    ended = nobodys_place.sync_by_command()
    assert (ended.code, ended.summary()["failed"]) == (1, 1)
    assert nobodys_place.failures()[b"shut"].errno == errno.EACCES
    assert paths_in(target) == {b"open"}
    listed = nobodys_place.haulage("failures", ended.summary()["run_id"])
    assert b"shut" in listed.out
    assert b"Permission denied" in listed.out
    assert leftovers(target) == []


def test_owners_that_only_root_may_give_are_told_of(nobodys_place: Place) -> None:
    source, target = nobodys_place.source, nobodys_place.target
    write(source / "file")
    write(source / "set-id")
    give_to_nobody(source)
    os.chown(source / "set-id", 0, 0)
    os.chmod(source / "set-id", 0o6755)
    ended = nobodys_place.sync_by_command()
    assert ended.code == 0, ended.text
    assert ended.summary()["lost"] == 1
    assert any(
        "1 entries lost their owner" in note for note in ended.summary()["notes"]
    )
    lost = nobodys_place.failures()
    assert {path: loss.status for path, loss in lost.items()} == {b"set-id": "lost"}
    assert "owner 0:0 not kept" in lost[b"set-id"].reason
    assert differences(source, target, ignore=OWNER) == ["set-id: mode 6755 != 0755"]
    assert nobodys_place.sync_by_command().summary()["copied"] == 0


def test_a_dry_run_names_what_the_run_can_not_read(nobodys_place: Place) -> None:
    source = nobodys_place.source
    for name in ("open/one", "shut/in", "open/secret", "open/two names"):
        write(source / name)
    os.link(source / "open" / "two names", source / "open" / "other name")
    give_to_nobody(source)
    for name in ("shut", "open/secret", "open/two names"):
        os.chmod(source / name, 0)
    told = nobodys_place.sync_by_command("--dry-run")
    failed = {row["path"] for row in told.lines() if "status" in row}
    assert (told.code, told.summary()["failed"]) == (1, len(failed))
    copied = {row["path"] for row in told.lines() if row.get("verb") == "copy"}
    assert copied == {"open/one"}
    assert "haulage failures" not in told.text
    did = nobodys_place.sync_by_command()
    assert (did.code, did.summary()["copied"]) == (1, 1)
    assert failed < set(map(os.fsdecode, nobodys_place.failures()))
    assert failed == {"shut/", "open/secret", "open/other name"}


def test_into_a_directory_of_another_user_all_comes_but_its_mode_and_times(
    nobodys_place: Place,
) -> None:
    source, target = nobodys_place.source, nobodys_place.target
    write(source / "dir" / "file")
    write(source / "new" / "file")
    give_to_nobody(source)
    (target / "dir").mkdir(parents=True)
    for shared in (target, target / "dir"):
        os.chmod(shared, 0o777)
    ended = nobodys_place.sync_by_command()
    assert ended.code == 0, ended.text
    lost = nobodys_place.failures()
    assert {path: loss.status for path, loss in lost.items()} == {
        b"": "lost", b"dir/": "lost"
    }  # fmt: skip
    for loss in lost.values():
        assert "mode 0755 not kept: uid 0 owns it" in loss.reason
        assert "times not kept: uid 0 owns it" in loss.reason
    write(source / "dir" / "another")
    give_to_nobody(source)
    ended = nobodys_place.sync_by_command("--preserve=links,sparse")
    assert (ended.code, ended.summary()["lost"]) == (0, 0)
    assert paths_in(target) == paths_in(source)
    (source / "dir" / "file").unlink()
    ended = nobodys_place.sync_by_command(*GUARDED_OPTIONS)
    assert (ended.code, ended.summary()["deleted"]) == (0, 1)
