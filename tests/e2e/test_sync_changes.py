"""A sync finds every change of the source, and says what it could not do."""

import os
from pathlib import Path

import pytest

from tests.e2e.exact import assert_exact
from tests.e2e.place import GUARDED, Place, grow_old, stats_in, write
from tests.trees import edits
from tests.trees.compare import differences


def test_changed_attributes_move_no_byte(place: Place, nasty_tree: Path) -> None:
    names = ("chmod", "chown", "touch", "all")
    for name in names:
        write(place.source / name, os.urandom(5000))
    (place.source / "dir").mkdir()
    grow_old()
    place.sync()
    before = stats_in(place.target)
    os.chmod(place.source / "chmod", 0o4711)
    os.chown(place.source / "chown", 1234, 4321)
    os.utime(place.source / "touch", ns=(0, 1_234_567_890_123_456_789))
    os.chmod(place.source / "all", 0o2400)
    os.chown(place.source / "all", 77, 88)
    os.utime(place.source / "all", ns=(0, -5))
    os.chmod(place.source / "dir", 0o1705)
    summary = place.sync()
    assert_exact(place)
    assert (summary.copied, summary.copied_bytes, summary.failed) == (0, 0, 0)
    assert summary.updated >= len(names)
    after = stats_in(place.target)
    assert {path: info.st_ino for path, info in after.items()} == {
        path: info.st_ino for path, info in before.items()
    }


@pytest.mark.parametrize("old", [True, False], ids=["old", "young"])
def test_every_kind_of_edit_is_found(place: Place, old: bool) -> None:
    ways = {
        b"stealthy overwrite": (edits.overwrite, True),
        b"stealthy overwrite and chmod": (edits.overwrite, True),
        b"stealthy overwrite and chown": (edits.overwrite, True),
        b"stealthy replace": (edits.replace, True),
        b"overwrite": (edits.overwrite, False),
        b"replace": (edits.replace, False),
    }
    source = os.fsencode(place.source)
    for name in [*ways, b"other"]:
        edits.write_new(os.path.join(source, name), b"A" * 3000)
    if old:
        grow_old()
    place.sync()
    for name, (put, stealthy) in ways.items():
        full = os.path.join(source, name)
        was = os.stat(full)
        put(full, b"A" * 1500 + b"B" + b"A" * 1499)
        if stealthy:
            os.utime(full, ns=(was.st_atime_ns, was.st_mtime_ns))
        if name.endswith(b"chmod"):
            os.chmod(full, 0o4711)
        if name.endswith(b"chown"):
            os.chown(full, 1234, 4321)
    summary = place.sync()
    assert_exact(place)
    assert summary.copied == len(ways)


def retype_all(source: Path) -> None:
    """Make a file of each directory, a directory of each file, and so on."""
    edits.remove(os.fsencode(source / "file to dir"))
    write(source / "file to dir" / "inside" / "deep")
    edits.remove(os.fsencode(source / "file to link"))
    (source / "file to link").symlink_to("anywhere")
    edits.remove(os.fsencode(source / "link to file"))
    write(source / "link to file")
    edits.remove(os.fsencode(source / "link to dir"))
    write(source / "link to dir" / "inside")
    for name in ("empty dir to file", "dir to file"):
        edits.remove(os.fsencode(source / name))
        write(source / name)
    for name in ("empty dir to link", "dir to link"):
        edits.remove(os.fsencode(source / name))
        (source / name).symlink_to("dir to file")


def plant_types(source: Path) -> None:
    for name in ("file to dir", "file to link"):
        write(source / name)
    for name in ("link to file", "link to dir"):
        (source / name).symlink_to("nowhere")
    for name in ("empty dir to file", "empty dir to link"):
        (source / name).mkdir()
    for name in ("dir to file", "dir to link"):
        write(source / name / "inside" / "deep")
        write(source / name / "beside")


def test_a_change_of_type_is_done_unless_a_full_directory_is_in_the_way(
    place: Place,
) -> None:
    plant_types(place.source)
    place.sync()
    retype_all(place.source)
    summary = place.sync()
    assert (summary.exit_code, summary.failed) == (1, 2)
    assert set(place.failures()) == {b"dir to file", b"dir to link"}
    assert {failure.status for failure in place.failures().values()} == {"blocked"}
    assert (place.target / "dir to file" / "inside" / "deep").is_file()
    assert (place.target / "dir to link" / "beside").is_file()
    left = {
        line.split(":")[0].split("/")[0]
        for line in differences(place.source, place.target)
    }
    assert left == {"dir to file", "dir to link"}
    assert place.sync(**GUARDED).exit_code == 0
    assert_exact(place)


def test_a_guarded_run_changes_every_type_at_once(any_place: Place) -> None:
    plant_types(any_place.source)
    any_place.sync()
    retype_all(any_place.source)
    summary = any_place.sync(**GUARDED)
    assert (summary.exit_code, summary.failed) == (0, 0), any_place.failures()
    assert_exact(any_place)


def test_the_root_itself_gets_its_attributes(place: Place) -> None:
    write(place.source / "file")
    os.chown(place.source, 12, 34)
    os.chmod(place.source, 0o2751)
    os.utime(place.source, ns=(0, -1))
    place.sync()
    assert_exact(place)
    os.chmod(place.source, 0o700)
    os.utime(place.source, ns=(0, 5))
    place.sync()
    assert_exact(place)
