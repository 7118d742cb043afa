"""A sync adopts what a filled target has, and fills an emptied one anew when asked."""

import os
import shutil
import stat
import subprocess

from tests.e2e.exact import assert_exact
from tests.e2e.place import GUARDED, Place, grow_old, paths_in, stats_in, write
from tests.trees import edits
from tests.trees.build import plant
from tests.trees.compare import differences
from tests.trees.walk import entries_of


def fill_target(place: Place) -> None:
    """Give the target what a copy by other means, long ago, would have left."""
    plant(place.source, 3, 150)
    for name in ("edited", "same size and mtime", "attributes"):
        write(place.source / name, b"new content")
    subprocess.run(["cp", "-a", place.source, place.target], check=True)
    write(place.target / "edited", b"old")
    moment = os.stat(place.source / "same size and mtime")
    write(place.target / "same size and mtime", b"old content")
    os.utime(
        place.target / "same size and mtime",
        ns=(moment.st_atime_ns, moment.st_mtime_ns),
    )
    os.chmod(place.target / "attributes", 0o123)
    write(place.target / "foreign" / "file")
    write(place.target / "foreign file")


def test_the_first_run_adopts_what_a_filled_target_has(place: Place) -> None:
    fill_target(place)
    grow_old()
    before = stats_in(place.target)
    summary = place.sync()
    assert (summary.exit_code, summary.copied) == (0, 2)
    after = stats_in(place.target)
    moved = {path for path in before if before[path].st_ino != after[path].st_ino}
    files = {path for path in moved if stat.S_ISREG(after[path].st_mode)}
    assert files == {b"edited", b"same size and mtime"}
    foreign = {b"foreign", b"foreign/file", b"foreign file"}
    assert {path.rstrip(b"/") for path in place.manifest()} & foreign == set()
    assert place.sync(**GUARDED).deleted == 0
    assert paths_in(place.target) == paths_in(place.source) | foreign
    for name in ("foreign", "foreign file"):
        edits.remove(os.fsencode(place.target / name))
    subprocess.run(["touch", "-r", place.source, place.target], check=True)
    assert_exact(place)


def test_a_target_that_was_emptied_is_never_called_unchanged(place: Place) -> None:
    plant(place.source, 8, 100)
    grow_old()
    place.sync()
    shutil.rmtree(place.target)
    ended = place.sync_by_command()
    assert ended.code != 0 or differences(place.source, place.target) == []


def test_comparing_always_makes_all_of_the_target_anew(place: Place) -> None:
    plant(place.source, 8, 100)
    grow_old()
    place.sync()
    kept, *others = entries_of(place.target)
    for gone in others:
        shutil.rmtree(
            gone
        ) if gone.is_dir() and not gone.is_symlink() else gone.unlink()
    assert kept.name
    summary = place.sync(compare="always")
    assert summary.exit_code == 0
    assert_exact(place)


def test_an_emptied_target_is_filled_anew_when_that_is_asked_for(place: Place) -> None:
    plant(place.source, 8, 100)
    grow_old()
    place.sync()
    shutil.rmtree(place.target)
    place.target.mkdir()
    refused = place.sync_by_command()
    assert refused.code == 2
    assert "--afresh" in refused.text
    assert place.sync(afresh=True).exit_code == 0
    assert_exact(place)
