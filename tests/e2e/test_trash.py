"""What is deleted with a trash is moved aside, comes back by undo, and expires."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from haulage.catalog.db.tables import TombstoneTable, TrashTable
from haulage.catalog.deletes import trashes
from haulage.catalog.deletes.trashes import TrashState
from haulage.errors import FatalError, RefusedError
from haulage.run import sequence
from haulage.run.context.runner import ThreadRunner
from tests.e2e.conftest import give_to_nobody
from tests.e2e.place import (
    GUARDED,
    GUARDED_OPTIONS,
    Place,
    grow_old,
    paths_in,
    write,
)
from tests.e2e.processes import kill, of_place, outcomes_in, start, wait_until
from tests.trees.build import plant
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


@contextmanager
def taken_away(place: Place, *paths: bytes) -> Iterator[None]:
    """Take entries out of the source for a while; in the end it is as it was."""
    source = os.fsencode(place.source)
    above = {os.path.dirname(os.path.join(source, path)) for path in paths}
    times = {one: os.stat(one) for one in above}
    moves = [
        (os.path.join(source, path), os.fsencode(place.root) + b"/away-%d" % number)
        for number, path in enumerate(paths)
    ]
    for here, away in moves:
        os.rename(here, away)
    keep_times(times)
    yield
    for here, away in moves:
        os.rename(away, here)
    keep_times(times)


def keep_times(times: dict[bytes, os.stat_result]) -> None:
    for path, found in times.items():
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


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
    with taken_away(synced, b"dir", b"top"):
        deleted = synced.sync(**WITH_TRASH)
        ended = synced.haulage("undo", deleted.run_id, "--json")
    assert ended.code == 0, ended.text
    assert (ended.summary()["restored"], ended.summary()["failed"]) == (7, 0)
    assert_same(synced.source, synced.target)
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
    assert reasons[b"top"].startswith("something stands at its path now")
    assert reasons[b"dir/in"].startswith("something else stands above it now")
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
    with pytest.raises(RefusedError, match=r"target .* is empty"):
        synced.sync(**WITH_TRASH)


def test_a_clock_that_was_ahead_for_a_night_empties_no_trash(synced: Place) -> None:
    (synced.source / "top").unlink()
    deleted = synced.sync(**WITH_TRASH)
    made = select(TrashTable.created_at).where(TrashTable.run_id == deleted.run_id)
    with synced.catalog().begin() as connection:
        then = connection.scalar(made)
    assert then is not None
    for days in (400, 0, 400):
        with synced.catalog().begin() as connection:
            ago = then - timedelta(days=days)
            connection.execute(update(TrashTable).values(created_at=ago))
        synced.sync()
        aside = synced.target / ".haulage-trash" / deleted.run_id
        assert (aside / "top").read_bytes() == b"top"
    synced.sync()
    assert not aside.exists()


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


@pytest.mark.torture
def test_an_approved_plan_goes_into_the_trash_too(synced: Place) -> None:
    (synced.source / "top").unlink()
    waits = synced.sync(delete="guarded", guards={"max_count": 0}, trash="1d")
    plan = str(waits.waiting_plan)
    words = ("deletes", "apply", plan, "--yes-delete", "1", "--json")
    applied = synced.haulage(*words).summary()
    assert applied["deleted"] == 1
    assert synced.haulage("undo", applied["run_id"]).code == 0
    assert (synced.target / "top").read_bytes() == b"top"


class Failing(ThreadRunner):
    """Ends the run as if the power had failed after so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._calls = calls

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        result = super().call(name, work)
        self._calls -= 1
        if not self._calls:
            raise FatalError(f"as if the power had failed after {name}")
        return result


@pytest.mark.parametrize(
    "calls",
    [
        *(pytest.param(calls, marks=pytest.mark.torture) for calls in (1, 2, 3)),
        4,
    ],
)
def test_an_interrupted_undo_is_resumed(synced: Place, calls: int) -> None:
    with taken_away(synced, b"dir", b"top"):
        deleted = synced.sync(**WITH_TRASH)
        with pytest.raises(FatalError):
            sequence.undo(
                deleted.run_id, Failing(calls), catalog_url=synced.catalog_url
            )
        summary = sequence.resume(
            synced.last_run().id, ThreadRunner(), catalog_url=synced.catalog_url
        )
    assert (summary.exit_code, summary.restored) == (0, 7)
    assert_same(synced.source, synced.target)
    trash = trashes.of_run(synced.catalog(), deleted.run_id)
    assert trash is not None
    assert trash.state is TrashState.UNDONE


@pytest.mark.parametrize("calls", [pytest.param(1, marks=pytest.mark.torture), 2])
def test_an_interrupted_undo_may_be_begun_again(synced: Place, calls: int) -> None:
    with taken_away(synced, b"dir", b"top"):
        deleted = synced.sync(**WITH_TRASH)
        url = synced.catalog_url
        with pytest.raises(FatalError):
            sequence.undo(deleted.run_id, Failing(calls), catalog_url=url)
        summary = sequence.undo(deleted.run_id, ThreadRunner(), catalog_url=url)
    assert (summary.exit_code, summary.restored) == (0, 7)
    assert_same(synced.source, synced.target)


def test_an_undo_that_is_killed_goes_on(place: Place) -> None:
    names = [b"d%02d/f%03d" % (number % 7, number) for number in range(700)]
    for name in names:
        write(place.source / os.fsdecode(name), name)
    grow_old()
    place.sync()
    single = [name for name in names if not name.startswith(b"d06")]
    with taken_away(place, *single[:430], b"d06"):
        deleted = place.sync(**WITH_TRASH, shards={"max_entries": 20})
        assert deleted.deleted == 430 + 101
        process = start(place, "undo", deleted.run_id)
        wait_until(lambda: outcomes_in(place) >= 5, process)
        kill(process.pid)
        process.communicate()
        wait_until(lambda: not of_place(place))
        ended = place.haulage("resume", place.last_run().id, "--json")
    assert ended.code == 0, ended.text
    assert ended.summary()["restored"] == deleted.deleted
    assert_same(place.source, place.target)


def test_all_of_a_nasty_tree_comes_back(place: Place) -> None:
    plant(place.source, seed=5, entries=300)
    grow_old()
    place.sync()
    dice = random.Random(5)
    names = sorted(os.listdir(os.fsencode(place.source)))
    with taken_away(place, *dice.sample(names, len(names) // 2)):
        deleted = place.sync(**WITH_TRASH)
        assert deleted.deleted > len(names)
        summary = sequence.undo(
            deleted.run_id, ThreadRunner(), catalog_url=place.catalog_url
        )
        assert (summary.exit_code, summary.restored) == (0, deleted.deleted)
    assert_same(place.source, place.target)
    assert place.sync(**WITH_TRASH).exit_code == 0
    assert_same(place.source, place.target)


def test_undo_needs_no_source(synced: Place) -> None:
    deleted = drop_dir(synced)
    synced.source.rename(synced.root / "lost")
    ended = synced.haulage("undo", deleted.run_id)
    assert ended.code == 0, ended.text
    assert (synced.target / "dir" / "in").read_bytes() == b"dir/in"


def test_what_was_deleted_comes_back_into_a_directory_that_stands(
    synced: Place,
) -> None:
    deleted = drop_dir(synced)
    (synced.source / "dir").mkdir(mode=0o711)
    write(synced.source / "dir" / "new")
    synced.sync(**WITH_TRASH)
    ended = synced.haulage("undo", deleted.run_id, "--json")
    assert ended.code == 0, ended.text
    assert (ended.summary()["restored"], ended.summary()["kept"]) == (6, 1)
    assert {p for p in ours(synced.target) if p.startswith(b"dir/")} == {
        *(b"dir/new", b"dir/in", b"dir/link", b"dir/sub", b"dir/sub/deep"),
        b"dir/\n\xff",
    }
    stands, wanted = (os.stat(end / "dir") for end in (synced.target, synced.source))
    assert (stands.st_mode, stands.st_mtime_ns) == (wanted.st_mode, wanted.st_mtime_ns)


def test_guards_and_proofs_hold_for_the_trash_too(synced: Place) -> None:
    (synced.source / "top").unlink()
    (synced.source / "stays").unlink()
    write(synced.target / "top", b"edited there")
    over = synced.sync(delete="guarded", guards={"max_count": 1}, trash="1d")
    assert (over.deleted, over.waiting_plan is None) == (0, False)
    assert not (synced.target / ".haulage-trash").exists()
    summary = synced.sync(**WITH_TRASH)
    assert (summary.deleted, summary.kept) == (1, 1)
    assert (synced.target / "top").read_bytes() == b"edited there"


def test_an_owner_who_is_not_root_has_a_trash_too(nobodys_place: Place) -> None:
    place = nobodys_place
    for name in ("locked/in", "locked/deep/file", "stays"):
        write(place.source / name)
    give_to_nobody(place.source)
    for name in ("locked/deep", "locked"):
        os.chmod(place.source / name, 0o500)
    assert place.sync_by_command().code == 0
    options = (*GUARDED_OPTIONS, "--trash")
    with taken_away(place, b"locked"):
        deleted = place.sync_by_command(*options, "1d").summary()
        assert deleted["deleted"] == 4
        ended = place.haulage("undo", deleted["run_id"], "--json")
    assert (ended.code, ended.summary()["restored"]) == (0, 4), ended.text
    assert_same(place.source, place.target)
    shutil.rmtree(place.source / "locked")
    # The manifest no longer has what undo brought back; the source gives it anew.
    shutil.rmtree(place.target / "locked")
    write(place.source / "locked" / "file")
    os.chmod(place.source / "locked", 0o500)
    give_to_nobody(place.source)
    assert place.sync_by_command().code == 0
    shutil.rmtree(place.source / "locked")
    assert place.sync_by_command(*options, "0s").summary()["deleted"] == 2
    assert place.sync_by_command().code == 0
    assert paths_in(place.target) == {b"stays"}


def test_status_names_the_trash_of_runs_that_the_catalog_does_not_know(
    synced: Place,
) -> None:
    def status() -> str:
        ended = synced.haulage("status", synced.name)
        assert ended.code == 0, ended.text
        return ended.out.decode()

    assert "trash" not in status()
    (synced.source / "top").unlink()
    run_id = synced.sync(**WITH_TRASH).run_id
    assert "trash" not in status()
    with synced.catalog().begin() as connection:  # as in a backup from before the run
        connection.execute(delete(TrashTable))
    write(synced.target / ".haulage-trash" / "notes" / "by somebody else")
    (named,) = (line for line in status().splitlines() if "trash" in line)
    assert (
        named
        == f"  .haulage-trash/{run_id} in the target belongs to no run of this catalog"
    )


def test_a_bucket_has_no_trash(place: Place) -> None:
    words = ("sync", place.source, "s3://b/p", "--delete", "guarded", "--trash", "1d")
    ended = place.haulage(*words)
    assert ended.code == 2
    assert "versioning" in ended.text


@pytest.mark.torture
def test_the_trash_of_a_former_target_is_not_copied(synced: Place) -> None:
    drop_dir(synced)
    copied = synced.root / "copied"
    ended = synced.haulage("sync", synced.target, copied)
    assert ended.code == 0, ended.text
    assert_same(synced.source, copied)
