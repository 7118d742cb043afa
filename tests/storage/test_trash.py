"""What is moved aside by descriptors, brought back, and removed for good."""

import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

from haulage.errors import PermanentError
from haulage.model import Action, Kind, Outcome, Status, Verb
from haulage.planning.actions import on_paths
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import stat_in
from haulage.storage.tree.ours import is_trash
from haulage.storage.tree.remove import remove_ours
from haulage.storage.tree.trash.move import trash_of
from haulage.storage.tree.trash.restore import bring_back, empty, tidy
from tests.engine_builders import action_on, put, read
from tests.trees.compare import assert_same

RUN = "20260101-000000-abcdef"
ASIDE = trash_of(RUN)


@pytest.fixture
def root(tmp_path):
    """Give a tree with a directory that has attributes of all kinds."""
    root = tmp_path / "root"
    put(root, b"d/f", b"ours")
    put(root, b"d/e/deep", b"below")
    (root / "d" / "l").symlink_to("nowhere")
    os.setxattr(root / "d" / "e", "user.color", b"green")
    os.chmod(root / "d" / "e", 0o2751)
    for name in ("d/e", "d"):
        os.utime(root / name, ns=(7, 1_234_567_890_123_456_789))
    return root


@pytest.fixture
def descent(root):
    """Give a descent into the tree."""
    descent = Descent(str(root))
    yield descent
    descent.close()


ENTRIES = (b"d/e/deep", b"d/f", b"d/l", b"d/e/", b"d/")  # as they are deleted


def remove(root: Path, descent: Descent, *paths: bytes) -> list[Status]:
    actions = [action_on(root, path, Verb.DELETE) for path in paths]
    return [_remove(descent, action).status for action in actions]


def _remove(descent: Descent, action: Action) -> Outcome:
    found = stat_in(descent, action.path)
    assert found is not None
    return remove_ours(descent, action, found, ASIDE)


def restored(descent: Descent, path: bytes) -> Outcome:
    kind = Kind.DIR if path.endswith(b"/") else Kind.FILE
    (row,) = on_paths(pa.array([path], pa.binary()), Verb.RESTORE, kind).to_pylist()
    return bring_back(descent, Action(**row), ASIDE)


def back(descent: Descent, *paths: bytes) -> list[Status]:
    return [restored(descent, path).status for path in paths]


def test_what_is_moved_aside_and_back_is_what_it_was(root, descent, tmp_path):
    subprocess.run(["cp", "-a", str(root), str(tmp_path / "before")], check=True)
    assert remove(root, descent, *ENTRIES) == [Status.DELETED] * len(ENTRIES)
    assert os.listdir(root) == [".haulage-trash"]
    every = sorted(ENTRIES)
    for _ in range(2):
        assert back(descent, *every) == [Status.RESTORED] * len(every)
    assert tidy(str(root), RUN) == 0
    times = os.stat(tmp_path / "before")
    os.utime(root, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert_same(tmp_path / "before", root)


def test_an_attempt_that_ended_between_two_names_is_finished(root, descent):
    remove(root, descent, b"d/f")
    os.link(root / os.fsdecode(ASIDE) / "d" / "f", root / "d" / "f")
    assert back(descent, b"d/f") == [Status.RESTORED]
    assert os.stat(root / "d" / "f").st_nlink == 1
    assert tidy(str(root), RUN) == 0
    assert read(root, b"d/f") == b"ours"


def test_what_was_taken_out_of_the_trash_fails_with_the_reason(root, descent):
    remove(root, descent, b"d/f")
    (root / os.fsdecode(ASIDE) / "d" / "f").unlink()
    outcome = restored(descent, b"d/f")
    assert outcome.status == Status.FAILED
    assert "neither in the trash" in str(outcome.reason)


@pytest.mark.parametrize("stands", ["file", "link", "full directory"])
def test_nothing_that_stands_is_replaced(root, descent, tmp_path, stands):
    remove(root, descent, *ENTRIES)
    outside = tmp_path / "outside"
    outside.mkdir()
    if stands == "file":
        put(root, b"d", b"new")
    elif stands == "link":
        (root / "d").symlink_to(outside)
    else:
        put(root, b"d/f", b"new")
    wanted = Status.KEPT if stands == "full directory" else Status.BLOCKED
    assert back(descent, b"d/", b"d/f") == [wanted, Status.BLOCKED]
    assert os.listdir(outside) == []
    assert read(root, ASIDE + b"d/f") == b"ours"


@pytest.mark.parametrize("stands", ["file", "link"])
def test_nothing_is_deleted_where_the_trash_has_no_place(
    root, descent, tmp_path, stands
):
    trash = root / ".haulage-trash"
    outside = tmp_path / "outside"
    outside.mkdir()
    trash.symlink_to(outside) if stands == "link" else trash.write_bytes(b"")
    with pytest.raises(PermanentError, match="move it away"):
        remove(root, descent, b"d/f")
    assert read(root, b"d/f") == b"ours"
    assert os.listdir(outside) == []


def test_a_trash_is_emptied_by_descriptors_and_never_through_a_link(
    root, descent, tmp_path
):
    outside = tmp_path / "outside"
    put(outside, b"sentinel")
    remove(root, descent, *ENTRIES)
    aside = root / os.fsdecode(ASIDE)
    (aside / "link").symlink_to(outside)
    deep = os.open(aside, os.O_RDONLY)
    for _ in range(40):  # its path is longer than any that a system call takes
        os.mkdir("x" * 250, dir_fd=deep)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    before = os.stat(root).st_mtime_ns
    empty(str(root), RUN)
    assert os.listdir(root) == []
    assert os.stat(root).st_mtime_ns == before
    assert os.listdir(outside) == ["sentinel"]
    empty(str(root), RUN)


@pytest.mark.parametrize("at", [".haulage-trash", f".haulage-trash/{RUN}"])
def test_a_trash_that_is_a_link_is_not_emptied(root, tmp_path, at):
    outside = tmp_path / "outside"
    put(outside, f"{RUN}/sentinel".encode())
    (root / at).parent.mkdir(exist_ok=True)
    (root / at).symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        empty(str(root), RUN)
    assert (outside / RUN / "sentinel").exists()


def test_what_stays_in_a_trash_is_counted_and_kept(root, descent):
    remove(root, descent, b"d/f", b"d/l")
    assert tidy(str(root), RUN) == 2
    assert read(root, ASIDE + b"d/f") == b"ours"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("place", [".haulage-trash", f".haulage-trash/{RUN}"])
def test_nothing_comes_back_from_a_trash_that_belongs_to_another(root, descent, place):
    assert remove(root, descent, b"d/f") == [Status.DELETED]
    os.chown(root / place, 65534, 65534)
    with pytest.raises(PermanentError, match="belongs to uid 65534"):
        restored(descent, b"d/f")
    assert not (root / "d" / "f").exists()
    assert sorted(os.listdir(root)) == [".haulage-trash", "d"]
    os.chown(root / place, 0, 0)
    assert back(descent, b"d/f") == [Status.RESTORED]


def test_only_the_trash_is_the_trash():
    aside = (b".haulage-trash", b".haulage-trash/", ASIDE, b".haulage-trash/x")
    assert all(map(is_trash, aside))
    others = (b"", b".haulage-trash-", b"d/.haulage-trash/", b".haulage-tras")
    assert not any(map(is_trash, others))
