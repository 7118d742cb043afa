"""What was moved aside: noted once, over after its time, restored entry by entry."""

from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog
from haulage.catalog.deletes import tombstones, trashes
from haulage.catalog.deletes.tombstones import Tombstone
from haulage.catalog.deletes.trashes import TrashState
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run, RunState
from haulage.model import Kind

PATHS = [b"a", b"d/", b"d/\n", b"d/\xff"]


def _next(catalog: Catalog, run: Run, home: DatasetRow) -> Run:
    runs.end(catalog, run, RunState.DONE, {})
    return runs.begin(catalog, home.dataset, trigger="test")


def _paths(catalog: Catalog, run: Run, at_once: int = 3) -> list[bytes]:
    parts = list(tombstones.paths(catalog, run.id, at_once))
    assert all(len(part) <= at_once for part in parts)
    return [path for part in parts for path in part]


def test_a_trash_is_kept_for_its_time_from_when_it_was_first_noted(
    catalog: Catalog, run: Run
) -> None:
    assert trashes.of_run(catalog, run.id) is None
    trashes.note(catalog, run, 3600)
    trashes.note(catalog, run, 0)
    (trash,) = trashes.kept(catalog, run.dataset_id)
    assert trash == trashes.of_run(catalog, run.id)
    assert (trash.state, trash.is_over) == (TrashState.KEPT, False)
    age_s = (trash.expires_at - run.started_at).total_seconds()
    assert 3600 <= age_s < 7200


def test_a_trash_without_time_is_over_at_once(catalog: Catalog, run: Run) -> None:
    trashes.note(catalog, run, 0)
    assert [trash.is_over for trash in trashes.kept(catalog, run.dataset_id)] == [True]


def test_a_closed_trash_is_no_longer_kept(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    trashes.note(catalog, run, 1)
    trash = trashes.of_run(catalog, run.id)
    assert trash is not None
    later = _next(catalog, run, home)
    trashes.close(catalog, later, trash, TrashState.UNDONE)
    assert trashes.kept(catalog, run.dataset_id) == []
    closed = trashes.of_run(catalog, run.id)
    assert closed is not None
    assert closed.state is TrashState.UNDONE


def test_tombstones_of_what_was_brought_back_stand_for_nothing(
    catalog: Catalog, run: Run, home: DatasetRow
) -> None:
    stones = [Tombstone(path, Kind.FILE, 1) for path in reversed(PATHS)]
    tombstones.add(catalog, run, "policy", stones)
    assert _paths(catalog, run) == PATHS
    later = _next(catalog, run, home)
    tombstones.add(catalog, later, "policy", stones[:1])
    for _ in range(2):
        tombstones.restored(catalog, later, run.id, [b"a", b"d/\xff"])
        assert _paths(catalog, run) == [b"d/", b"d/\n"]
    assert _paths(catalog, later) == [b"d/\xff"]
