"""The mutator: every kind of change, each one seen, and the tree keeps its size."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trees.build import plant
from tests.trees.compare import assert_same, differences, leftovers, shown
from tests.trees.mutate import Change, What, mutate
from tests.trees.walk import below, opened

NOBODY = 65_534
MUST_SHOW = {  # the line that a change leaves, after its path
    What.CREATE_FILE: "extra",
    What.CREATE_DIR: "extra",
    What.CREATE_SYMLINK: "extra",
    What.EDIT: "size",
    What.EDIT_SAME_SIZE: "content",
    What.EDIT_STEALTHILY: "content",
    What.CHMOD: "mode",
    What.CHOWN: "[ug]id",
    What.SET_XATTR: "xattrs",
    What.GRANT: "xattrs",
    What.TOUCH: "mtime",
    What.RENAME: "missing",
    What.RENAME_DIR: "missing",
    What.DELETE: "missing",
    What.DELETE_DIR: "missing",
    What.RETARGET: "target",
    What.FILE_TO_DIR: "type file != dir",
    What.FILE_TO_SYMLINK: "type file != symlink",
    What.DIR_TO_FILE: "type dir != file",
    What.DIR_TO_SYMLINK: "type dir != symlink",
    What.SYMLINK_TO_DIR: "type symlink != dir",
}
AS_ROOT = os.geteuid() == 0


def count(root: Path) -> int:
    with opened(os.fsencode(root)) as fd:
        return sum(1 for _ in below(fd))


def copied(root: Path) -> Path:
    copy = root.with_name(root.name + "-copy")
    subprocess.run(["cp", "-a", root, copy], check=True)
    return copy


def assert_shown(change: Change, lines: list[str]) -> None:
    wanted = re.escape(shown(change.path)) + ": " + MUST_SHOW[change.what]
    assert any(re.match(wanted, line) for line in lines), change
    if change.to is not None:
        assert f"{shown(change.to)}: extra" in lines, change


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    plant(tmp_path / "tree", 11, 600)
    return tmp_path / "tree"


@pytest.mark.parametrize("seed", range(4))
def test_every_kind_of_change_occurs_and_is_seen(tree: Path, seed: int) -> None:
    before = copied(tree)
    changes = mutate(tree, seed, share=0.1)
    lines = differences(before, tree)
    expected = set(What) if AS_ROOT else set(What) - {What.CHOWN}
    assert {change.what for change in changes} == expected
    for change in changes:
        assert_shown(change, lines)


def test_no_path_is_changed_twice(tree: Path) -> None:
    changes = mutate(tree, 1, share=0.3)
    paths = [change.path for change in changes]
    paths += [change.to for change in changes if change.to is not None]
    assert len(set(paths)) == len(paths) > 150


def test_a_stealthy_edit_shows_in_nothing_but_content_and_ctime(tree: Path) -> None:
    before = copied(tree)
    changes = mutate(tree, 2, share=0.2)
    lines = differences(before, tree)
    stealthy = [each for each in changes if each.what is What.EDIT_STEALTHILY]
    assert len(stealthy) > 2
    for change in stealthy:
        mine = [each for each in lines if each.startswith(shown(change.path) + ": ")]
        assert len(mine) == 1
        assert "content differs" in mine[0]


def test_equal_trees_and_seeds_get_equal_changes(tree: Path) -> None:
    other = copied(tree)
    assert mutate(tree, 5) == mutate(str(other), 5)
    assert mutate(tree, 6) != mutate(other, 7)


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1), (0.05, 32), (0.2, 130)])
def test_the_share_says_how_many_changes(tree: Path, share: float, wanted: int) -> None:
    assert len(mutate(tree, 3, share)) == pytest.approx(wanted, rel=0.1, abs=0.1)


def test_thirty_nights_leave_a_tree_of_about_the_same_size(tree: Path) -> None:
    first = count(tree)
    for night in range(30):
        assert mutate(tree, night), f"nothing changed in night {night}"
        assert 0.85 * first < count(tree) < 1.15 * first
    assert leftovers(tree) == []


def test_a_tree_without_entries_gets_some(tmp_path: Path) -> None:
    for seed in range(20):
        mutate(tmp_path, seed)
    assert count(tmp_path) > 0


def work_as_owner() -> None:
    """Plant, copy, change and compare below the working directory."""
    plant("a", 4, 500)
    plant("b", 4, 500)
    assert_same("a", "b")
    subprocess.run(["cp", "-a", "a", "before"], check=True)
    assert_same("a", "before")
    changes = mutate("a", 9, share=0.2)
    lines = differences("before", "a")
    assert {change.what for change in changes} == set(What) - {What.CHOWN}
    for change in changes:
        assert_shown(change, lines)


def become_nobody(where: str) -> None:
    """Enter `where`, give up being root, and do all of it there."""
    os.chdir(where)  # before, because directories above may be closed to others
    if AS_ROOT:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    work_as_owner()


def test_all_of_it_works_without_being_root(tmp_path: Path) -> None:
    where = tmp_path / "own"
    where.mkdir()
    if AS_ROOT:
        os.chown(where, NOBODY, NOBODY)
    # A process of its own: a fork of this one would inherit its threads' locks.
    work = "import sys; from tests.trees.test_mutate import become_nobody as work; "
    child = subprocess.run(
        [sys.executable, "-c", work + "work(sys.argv[1])", str(where)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
