"""What is preserved later reaches all that is there, whatever one run left out."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from haulage.catalog.runs import runs
from haulage.run.discovery import lacking_attributes
from haulage.run.manifest import commit
from tests.e2e.conftest import give_to_nobody
from tests.e2e.linked import link
from tests.e2e.place import Place, grow_old, write
from tests.trees.compare import assert_same

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root gives away files and makes them immutable"
)
NARROW: dict[str, Any] = {"preserve": ["mode", "times", "links", "sparse"]}
WITHOUT_X: dict[str, Any] = {"filters": {"rules": ["- /x"]}}


def names_of(file: Path) -> int:
    return file.stat().st_nlink


@pytest.fixture
def narrow(place: Place) -> Place:
    """Return a place that was synced without owners and attributes."""
    for name in ("x/one", "x/deep/two", "y/three"):
        write(place.source / name)
        os.chown(place.source / name, 12, 34)
        os.setxattr(place.source / name, "user.note", b"mine")
    grow_old()
    assert place.sync(**NARROW).exit_code == 0
    return place


@contextmanager
def immutable(file: Path) -> Iterator[None]:
    done = subprocess.run(["chattr", "+i", file], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no file can be made immutable here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", file], check=True)


def owner_of(file: Path) -> int:
    return file.stat().st_uid


def test_what_a_filter_left_out_of_one_run_is_set_by_the_next(narrow: Place) -> None:
    assert narrow.sync(**WITHOUT_X).updated == 3  # one file and two directories
    assert owner_of(narrow.target / "x" / "one") == 0
    summary = narrow.sync()
    assert (summary.copied, summary.failed) == (0, 0)
    assert_same(narrow.source, narrow.target)
    assert narrow.sync().updated == 0


@pytest.mark.parametrize(
    "left_out",
    [
        {"filters": {"min_size": 1 << 20}},
        *(
            pytest.param({"steps": [step]}, marks=pytest.mark.torture)
            for step in ("dirs", "delete")
        ),
    ],
)
def test_a_run_that_leaves_out_files_is_not_the_one_that_sets_all(
    narrow: Place, left_out: dict[str, Any]
) -> None:
    narrow.sync(**left_out)
    narrow.sync()
    assert_same(narrow.source, narrow.target)


def test_filters_that_stay_the_same_make_one_night_long(narrow: Place) -> None:
    assert [narrow.sync(**WITHOUT_X).updated for _ in range(3)] == [3, 0, 0]


def test_runs_with_other_filters_do_not_hide_how_little_was_preserved_before_them(
    narrow: Place,
) -> None:
    for _ in range(25):
        narrow.sync(**WITHOUT_X)
    narrow.sync()
    assert_same(narrow.source, narrow.target)


def test_what_failed_is_tried_again_and_nothing_else(narrow: Place) -> None:
    stuck = narrow.target / "x" / "deep" / "two"
    with immutable(stuck):
        assert narrow.sync().failed == 1
        again = narrow.sync()
        assert (again.failed, again.updated) == (1, 0)
    last = narrow.sync()
    assert (last.failed, last.updated) == (0, 1)
    assert_same(narrow.source, narrow.target)
    assert narrow.sync().updated == 0


def test_what_failed_is_remembered_over_runs_that_leave_it_out(narrow: Place) -> None:
    with immutable(narrow.target / "x" / "one"):
        assert narrow.sync().failed == 1
        assert narrow.sync(**WITHOUT_X).failed == 0
    assert narrow.sync().updated == 1
    assert_same(narrow.source, narrow.target)


def test_with_too_many_failures_all_is_looked_at_again(
    narrow: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lacking_attributes, "_MOST_FAILURES", 0)
    with immutable(narrow.target / "x" / "one"):
        assert narrow.sync().failed == 1
    assert narrow.sync().failed == 0
    assert_same(narrow.source, narrow.target)


def test_with_more_failures_than_are_listed_all_is_looked_at_again(
    narrow: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "_MOST_LISTED", 1)
    one, two = narrow.target / "x" / "one", narrow.target / "y" / "three"
    with immutable(one), immutable(two):
        summary = narrow.sync()
    assert (summary.failed, summary.unlisted, len(narrow.failures())) == (2, 1, 1)
    assert "only the first 1 of 2 failures are listed" in summary.notes
    assert narrow.sync().failed == 0
    assert_same(narrow.source, narrow.target)


def test_where_runs_were_forgotten_all_is_looked_at_again(narrow: Place) -> None:
    narrow.sync(**WITHOUT_X)
    first = runs.recent(narrow.catalog())[-1]
    with narrow.catalog().begin() as connection:
        unlisted = text("UPDATE runs SET listed_until = NULL WHERE id = :id")
        connection.execute(unlisted, {"id": first.id})  # as good as no run
        connection.execute(text("UPDATE datasets SET has_forgotten = true"))
    narrow.sync()
    assert_same(narrow.source, narrow.target)


def test_what_is_below_an_unread_directory_is_set_when_it_can_be_read(
    nobodys_place: Place,
) -> None:
    place = nobodys_place
    write(place.source / "shut" / "in" / "file")
    os.setxattr(place.source / "shut" / "in" / "file", "user.note", b"mine")
    give_to_nobody(place.source)
    assert place.sync_by_command("--preserve=-xattrs").code == 0
    os.chmod(place.source / "shut", 0)
    assert place.sync_by_command("--preserve=-specials").code == 1
    os.chmod(place.source / "shut", 0o755)
    assert place.sync_by_command("--preserve=-specials").code == 0
    assert_same(place.source, place.target)


@pytest.mark.parametrize(
    "verify", ["checksum", pytest.param("none", marks=pytest.mark.torture)]
)
def test_links_that_are_asked_for_later_are_made_and_nothing_else_is_looked_at(
    place: Place, verify: str
) -> None:
    write(place.source / "alone")
    write(place.source / "a" / "one")
    link(place, "a/one", "a/two", "b/three")
    os.symlink("to", place.source / "pointer")
    link(place, "pointer", "b/pointer")
    grow_old()
    without = ["mode", "owner", "times", "xattrs", "acls", "sparse"]
    place.sync(preserve=without, verify=verify)
    assert names_of(place.target / "a" / "one") == 1
    summary = place.sync(verify=verify)
    assert (summary.copied, summary.failed) == (0, 0)
    assert place.last_run().counts["planned"] == 5
    assert_same(place.source, place.target)
    quiet = place.sync(verify=verify)
    assert (quiet.copied, quiet.made, quiet.updated) == (0, 0, 0)


def test_a_link_that_could_not_be_made_then_is_made_later(narrow: Place) -> None:
    link(narrow, "x/one", "y/one")
    narrow.sync(preserve=["mode"])
    with immutable(narrow.target / "y" / "one"):
        assert narrow.sync().failed > 0
    narrow.sync()
    assert_same(narrow.source, narrow.target)


def test_holes_that_were_filled_stay_so_until_their_file_is_copied_again(
    place: Place,
) -> None:
    write(place.source / "holes", b"begin")
    os.truncate(place.source / "holes", 3 << 20)
    grow_old()
    place.sync(preserve=["mode", "owner", "times"])
    for compare, is_filled in (("metadata", True), ("always", False)):
        place.sync(compare=compare)
        blocks = (place.target / "holes").stat().st_blocks
        assert (blocks * 512 >= 3 << 20) is is_filled
