"""What is deleted with a trash is moved aside, comes back by undo, and expires."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from haulage.catalog import trashes
from haulage.catalog.tables import TombstoneTable
from haulage.catalog.trashes import TrashState
from haulage.errors import FatalError, RefusedError
from haulage.stages import run as running
from haulage.stages.crew import Threads
from tests.e2e.place import GUARDED, Place, grow_old, paths_in, stats_in, write
from tests.trees.compare import assert_same

WITH_TRASH: dict[str, Any] = {**GUARDED, "trash": "30d"}
TRASH = b".haulage-trash"


@pytest.fixture
def synced(place: Place) -> Place:
    """Return a place with files, links, names and a directory with attributes."""
    for name in ("top", "stays", "dir/in", "dir/sub/deep", "dir/\n\udcff", "dir2/x"):
        write(place.source / name, name.encode("utf-8", "surrogateescape"))
    (place.source / "dir" / "link").symlink_to("nowhere")
    os.chmod(place.source / "dir" / "sub", 0o510)
    os.utime(place.source / "dir" / "sub", ns=(7, 1_234_567_890_123_456_789))
    grow_old()
    place.sync()
    return place


def drop_dir(place: Place) -> Any:
    shutil.rmtree(place.source / "dir")
    (place.source / "top").unlink()
    return place.sync(**WITH_TRASH)


def ours(root: Path) -> set[bytes]:
    return {path for path in paths_in(root) if not path.startswith(TRASH)}


def attributes(root: Path) -> dict[bytes, tuple[int, ...]]:
    """Return what undo must bring back, of all but the trash."""
    return {
        path: (found.st_mode, found.st_uid, found.st_mtime_ns)
        for path, found in stats_in(root).items()
        if not path.startswith(TRASH)
    }


def test_what_is_deleted_stands_in_the_trash(synced: Place) -> None:
    summary = drop_dir(synced)
    assert summary.deleted == 7
    assert ours(synced.target) == paths_in(synced.source)
    aside = synced.target / ".haulage-trash" / summary.run_id
    assert (aside / "dir" / "sub" / "deep").read_bytes() == b"dir/sub/deep"
    assert os.readlink(aside / "dir" / "link") == "nowhere"
    assert os.stat(synced.target / ".haulage-trash").st_mode & 0o777 == 0o700
    root = os.stat(synced.target).st_mtime_ns
    assert root == os.stat(synced.source).st_mtime_ns
    trash = trashes.of_run(synced.catalog(), summary.run_id)
    assert trash is not None
    assert (trash.state, trash.is_over) == (TrashState.KEPT, False)


def test_undo_brings_back_every_entry_as_it_was(synced: Place) -> None:
    before = attributes(synced.target)
    deleted = drop_dir(synced)
    ended = synced.haulage("undo", deleted.run_id, "--json")
    assert ended.code == 0, ended.text
    assert ended.summary()["restored"] == 7
    assert attributes(synced.target) == before
    assert not (synced.target / ".haulage-trash" / deleted.run_id / "dir").exists()
    with synced.catalog().read() as connection:
        assert all(connection.scalars(select(TombstoneTable.restored_at)))
    again = synced.haulage("undo", deleted.run_id)
    assert again.code == 2
    assert "brought back already" in again.text


def test_what_was_brought_back_is_nobodys_and_stays(synced: Place) -> None:
    deleted = drop_dir(synced)
    assert synced.haulage("undo", deleted.run_id).code == 0
    before = ours(synced.target)
    assert synced.sync(**WITH_TRASH).deleted == 0
    assert ours(synced.target) == before


def test_undo_replaces_nothing_that_stands_in_the_way(synced: Place) -> None:
    deleted = drop_dir(synced)
    write(synced.target / "top", b"somebody's work")
    write(synced.target / "dir", b"a file where the directory was")
    ended = synced.haulage("undo", deleted.run_id, "--json")
    assert ended.code == 1
    assert ended.summary()["restored"] == 0
    assert (synced.target / "top").read_bytes() == b"somebody's work"
    reasons = {path: one.reason for path, one in synced.failures().items()}
    assert reasons[b"top"] == "something stands at its path now"
    assert reasons[b"dir/in"] == "something else stands above it now"
    for name in ("top", "dir"):
        (synced.target / name).unlink()
    assert synced.haulage("undo", deleted.run_id).code == 0
    assert (synced.target / "dir" / "in").read_bytes() == b"dir/in"


@pytest.mark.parametrize("at", ["dir", ".haulage-trash"])
def test_a_link_leads_neither_the_trash_nor_undo_outside(
    synced: Place, at: str
) -> None:
    outside = synced.root / "outside"
    outside.mkdir()
    if at == "dir":
        deleted = drop_dir(synced)
        (synced.target / "dir").symlink_to(outside)
        synced.haulage("undo", deleted.run_id)
    else:
        (synced.target / at).symlink_to(outside)
        before = paths_in(synced.target)
        assert drop_dir(synced).deleted == 0
        assert paths_in(synced.target) == before
    assert paths_in(outside) == set()


def test_the_trash_is_neither_listed_nor_synced_nor_foreign(synced: Place) -> None:
    drop_dir(synced)
    write(synced.source / ".haulage-trash" / "x")
    write(synced.source / "dir2" / ".haulage-trash" / "only at the root")
    summary = synced.sync(**WITH_TRASH)
    assert summary.exit_code == 0
    assert not (synced.target / ".haulage-trash" / "x").exists()
    assert b"dir2/.haulage-trash/only at the root" in synced.manifest()
    assert not any(path.startswith(TRASH) for path in synced.manifest())


def test_a_target_with_nothing_but_trash_counts_as_empty(synced: Place) -> None:
    drop_dir(synced)
    for name in ("stays", "dir2"):
        path = synced.target / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(RefusedError, match="target .* is empty"):
        synced.sync(**WITH_TRASH)


def test_what_is_over_its_time_is_removed_by_a_later_run(synced: Place) -> None:
    shutil.rmtree(synced.source / "dir")
    first = synced.sync(**{**WITH_TRASH, "trash": 0})
    (synced.source / "top").unlink()
    second = synced.sync(**WITH_TRASH)
    third = synced.sync()
    aside = synced.target / ".haulage-trash"
    assert os.listdir(aside) == [second.run_id]
    assert (aside / second.run_id / "top").read_bytes() == b"top"
    ended = synced.haulage("undo", first.run_id)
    assert ended.code == 2
    assert "removed already" in ended.text
    assert third.exit_code == 0


def test_a_run_without_a_trash_can_not_be_undone(synced: Place) -> None:
    (synced.source / "top").unlink()
    deleted = synced.sync(**GUARDED)
    assert not (synced.target / ".haulage-trash").exists()
    ended = synced.haulage("undo", deleted.run_id)
    assert ended.code == 2
    assert "--trash 30d" in ended.text


def test_an_approved_plan_goes_into_the_trash_too(synced: Place) -> None:
    (synced.source / "top").unlink()
    waits = synced.sync(delete="guarded", guards={"max_count": 0}, trash="1d")
    plan = str(waits.waiting_plan)
    words = ("deletes", "apply", plan, "--yes-delete", "1", "--json")
    applied = synced.haulage(*words).summary()
    assert applied["deleted"] == 1
    assert synced.haulage("undo", applied["run_id"]).code == 0
    assert (synced.target / "top").read_bytes() == b"top"


def test_an_interrupted_undo_is_resumed(synced: Place) -> None:
    class Failing(Threads):
        def call(self, name, work):
            result = super().call(name, work)
            raise FatalError(f"as if the power had failed after {name}: {result}")

    deleted = drop_dir(synced)
    with pytest.raises(FatalError):
        running.undo(deleted.run_id, Failing(), catalog_url=synced.catalog_url)
    ended = synced.haulage("resume", synced.last_run().id, "--json")
    assert ended.code == 0, ended.text
    assert ended.summary()["restored"] == 7
    trash = trashes.of_run(synced.catalog(), deleted.run_id)
    assert trash is not None
    assert trash.state is TrashState.UNDONE


def test_a_bucket_has_no_trash(place: Place) -> None:
    words = ("sync", place.source, "s3://b/p", "--delete", "guarded", "--trash", "1d")
    ended = place.haulage(*words)
    assert ended.code == 2
    assert "versioning" in ended.text


def test_the_trash_of_a_former_target_is_not_copied(synced: Place) -> None:
    drop_dir(synced)
    copied = synced.root / "copied"
    ended = synced.haulage("sync", synced.target, copied)
    assert ended.code == 0, ended.text
    assert_same(synced.source, copied)
