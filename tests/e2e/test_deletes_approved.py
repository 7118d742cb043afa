"""What is over the caps waits for a person, and is checked again when it goes."""

import os
from typing import Any

import pytest
from sqlalchemy import select

from haulage.catalog.db.tables import TombstoneTable
from haulage.catalog.deletes import delete_plans
from haulage.catalog.deletes.delete_plans import DeletePlan, PlanState
from haulage.catalog.runs import runs
from haulage.errors import FatalError, RefusedError
from haulage.run import sequence
from haulage.run.context.runner import Summary, TaskRunner, ThreadRunner
from haulage.run.guards.approval import Approval
from tests.e2e.place import Before, Place, grow_old, paths_in, write
from tests.trees.compare import assert_same

CAPPED: dict[str, Any] = {"delete": "guarded", "guards": {"max_count": 2}}
GONE = {b"top-0", b"top-1", b"dir", b"dir/in", b"dir/sub", b"dir/sub/deep"}


@pytest.fixture
def waiting(place: Place) -> Place:
    """Return a place in which plan 1 waits, with all of GONE."""
    return _with_plan(place)


def _with_plan(place: Place) -> Place:
    for path in ("top-0", "top-1", "stays", "dir/in", "dir/sub/deep", "kept/x"):
        write(place.source / path)
    grow_old()
    place.sync()
    for path in sorted(map(os.fsdecode, GONE), reverse=True):
        gone = place.source / path
        gone.rmdir() if gone.is_dir() else gone.unlink()
    summary = place.sync(**CAPPED)
    assert (summary.exit_code, summary.deleted) == (0, 0)
    assert summary.waiting_plan == 1
    assert paths_in(place.target) > GONE
    return place


def _plan(place: Place, number: int = 1) -> DeletePlan:
    return delete_plans.find(place.catalog(), number)


def _apply(place: Place, runner: TaskRunner | None = None, entries: int = 6) -> Summary:
    leave = Approval(1, entries, "ann")
    runner = runner or ThreadRunner()
    return sequence.apply_deletes(leave, runner, catalog_url=place.catalog_url)


def _approvals(place: Place) -> set[str]:
    with place.catalog().read() as connection:
        return set(connection.scalars(select(TombstoneTable.approved_by)))


def test_a_plan_is_listed_shown_and_applied_by_commands(any_place: Place) -> None:
    waiting = _with_plan(any_place)
    (listed,) = waiting.haulage("deletes", "list", "--json").lines()
    assert (listed["plan"], listed["state"], listed["entries"]) == (1, "waiting", 6)
    assert listed["dataset"] == waiting.name
    rows = waiting.haulage("deletes", "show", "1", "--json").lines()
    shown = {row["path"].rstrip("/").encode() for row in rows[1:]}
    assert shown == GONE
    assert "--yes-delete 6" in waiting.haulage("deletes", "show", "1").text
    ended = waiting.haulage("deletes", "apply", "1", "--yes-delete", "6", "--json")
    assert ended.code == 0, ended.text
    assert ended.summary()["deleted"] == 6
    assert_same(waiting.source, waiting.target)
    assert {path.rstrip(b"/") for path in waiting.deleted()} == GONE
    assert len(waiting.manifest()) == len(paths_in(waiting.source)) + 1
    assert _plan(waiting).state is PlanState.APPLIED
    assert _plan(waiting).apply_run_id == waiting.last_run().id
    (approval,) = _approvals(waiting)
    assert approval.endswith(f"(uid {os.getuid()}): plan 1")
    assert waiting.sync(**CAPPED).waiting_plan is None


def test_the_sync_says_what_to_type(waiting: Place) -> None:
    ended = waiting.sync_by_command("--delete", "guarded", "--max-delete", "2")
    assert ended.code == 0, ended.text
    notes = " ".join(ended.summary()["notes"])
    assert "haulage deletes apply 2 --yes-delete 6" in notes
    assert ended.summary()["waiting_plan"] == 2


def test_a_policy_that_only_plans_keeps_its_plan(place: Place) -> None:
    write(place.source / "a")
    write(place.source / "b")
    place.sync()
    (place.source / "a").unlink()
    assert place.sync(delete="plan").waiting_plan == 1
    assert _apply(place, entries=1).deleted == 1
    assert_same(place.source, place.target)


@pytest.mark.parametrize("typed", ["5", pytest.param("-6", marks=pytest.mark.torture)])
def test_another_number_than_the_plans_is_refused(waiting: Place, typed: str) -> None:
    before = paths_in(waiting.target)
    ended = waiting.haulage("deletes", "apply", "1", f"--yes-delete={typed}")
    assert ended.code == 2
    assert "has 6 entries" in ended.text
    assert paths_in(waiting.target) == before
    assert _plan(waiting).state is PlanState.WAITING


def test_a_plan_without_a_number_typed_is_refused(waiting: Place) -> None:
    before = paths_in(waiting.target)
    assert waiting.haulage("deletes", "apply", "1").code == 2
    assert paths_in(waiting.target) == before


def test_a_plan_is_stale_when_a_later_run_has_listed(waiting: Place) -> None:
    before = paths_in(waiting.target)
    waiting.sync()
    ended = waiting.haulage("deletes", "apply", "1", "--yes-delete", "6")
    assert ended.code == 2
    assert "stale" in ended.text
    assert paths_in(waiting.target) == before
    assert _plan(waiting).state is PlanState.STALE


def test_a_declined_plan_deletes_nothing_and_says_why(waiting: Place) -> None:
    before = paths_in(waiting.target)
    words = ("deletes", "decline", "1", "--because", "wrong mount")
    assert waiting.haulage(*words).code == 0
    ended = waiting.haulage("deletes", "apply", "1", "--yes-delete", "6")
    assert ended.code == 2
    assert "wrong mount" in ended.text
    assert paths_in(waiting.target) == before
    assert waiting.sync(**CAPPED).waiting_plan == 2


def test_a_plan_is_applied_once(waiting: Place) -> None:
    assert _apply(waiting).deleted == 6
    with pytest.raises(RefusedError, match="approved by ann"):
        _apply(waiting)


def test_what_changed_since_the_plan_was_made_is_kept(waiting: Place) -> None:
    write(waiting.source / "top-0", b"is back")
    write(waiting.target / "top-1", b"somebody's work")
    write(waiting.target / "dir" / "sub" / "foreign")
    summary = _apply(waiting)
    assert (summary.deleted, summary.kept, summary.exit_code) == (2, 4, 0)
    kept = {b"top-0", b"top-1", b"dir/", b"dir/sub/"}
    assert set(waiting.failures()) == kept
    assert (waiting.target / "top-1").read_bytes() == b"somebody's work"
    assert kept < set(waiting.manifest())
    assert b"dir/in" not in waiting.manifest()


def test_what_comes_back_while_the_plan_is_applied_is_kept(waiting: Place) -> None:
    def return_one() -> None:
        write(waiting.source / "dir" / "in", b"is back")

    summary = _apply(waiting, Before("delete", return_one))
    assert (summary.deleted, summary.kept) == (4, 2)
    assert {b"dir", b"dir/in"} < paths_in(waiting.target)


def test_an_emptied_source_is_refused_when_a_plan_is_applied(waiting: Place) -> None:
    before = paths_in(waiting.target)
    waiting.source.rename(waiting.root / "elsewhere")
    with pytest.raises(RefusedError, match="does not exist"):
        _apply(waiting)
    waiting.source.mkdir()
    with pytest.raises(RefusedError, match="is it mounted"):
        _apply(waiting)
    assert paths_in(waiting.target) == before
    assert _plan(waiting).state is PlanState.WAITING


def test_a_source_that_empties_before_the_first_unlink_deletes_nothing(
    waiting: Place,
) -> None:
    before = paths_in(waiting.target)

    def unmount() -> None:
        waiting.source.rename(waiting.root / "elsewhere")
        waiting.source.mkdir()

    with pytest.raises(FatalError, match="source is empty"):
        _apply(waiting, Before("delete", unmount))
    assert paths_in(waiting.target) == before


@pytest.mark.parametrize(
    ("step", "again"),
    [
        ("delete", "resume"),
        *(
            pytest.param(step, again, marks=pytest.mark.torture)
            for step in ("delete", "directories", "commit the manifest")
            for again in ("resume", "apply", "sync")
        ),
    ],
)
def test_an_interrupted_apply_goes_on(waiting: Place, step: str, again: str) -> None:

    def fail() -> None:
        raise FatalError("as if the power had failed")

    with pytest.raises(FatalError):
        _apply(waiting, Before(step, fail))
    interrupted = waiting.last_run()
    if again == "resume":
        ended = waiting.haulage("resume", interrupted.id)
    elif again == "apply" and step == "delete":
        ended = waiting.haulage("deletes", "apply", "1", "--yes-delete", "6")
    else:
        ended = waiting.sync_by_command(
            "--delete", "guarded", "--max-delete-share", "1"
        )
    assert ended.code == 0, ended.text
    assert_same(waiting.source, waiting.target)
    catalog = waiting.catalog()
    assert {run.state for run in runs.recent(catalog)} <= {"done", "superseded"}
    assert len(waiting.manifest()) == len(paths_in(waiting.source)) + 1
    assert not (waiting.home / "work" / interrupted.id).exists()


def test_two_who_apply_at_once_delete_once(waiting: Place) -> None:
    told: list[int] = []

    def apply_too() -> None:
        ended = waiting.haulage("deletes", "apply", "1", "--yes-delete", "6")
        assert "is active" in ended.text
        told.append(ended.code)

    assert _apply(waiting, Before("delete", apply_too)).deleted == 6
    assert told == [2]


def test_a_dry_run_tells_that_a_plan_would_wait(waiting: Place) -> None:
    ended = waiting.sync_by_command(
        "--dry-run", "--delete", "guarded", "--max-delete", "2"
    )
    assert ended.code == 0
    assert "until it is approved" in " ".join(ended.summary()["notes"])
    assert _plan(waiting).state is PlanState.WAITING
