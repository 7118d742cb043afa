"""Values of a run, for tests of what is shown of it."""

from dataclasses import replace
from datetime import UTC, datetime

from haulage.catalog.deletes.delete_plans import DeletePlan, PlanState
from haulage.config.policy import Dataset
from haulage.run.context.runner import Progress, Summary, WaveProgress

HOSTILE = "<script>alert(1)</script> [x](javascript:y) | `a` \x1b[31m\n# h"


def dataset(name: str = "genomes") -> Dataset:
    return Dataset(name=name, source="/data/a", target="/data/b")


def wave(name: str = "copy wave 1", state: str = "running") -> WaveProgress:
    return WaveProgress(
        name=name,
        pass_="copy",
        shards=4,
        shards_done=2,
        entries=100,
        bytes=1 << 20,
        done=50,
        done_bytes=1 << 19,
        state=state,
        seconds=2.0,
    )


def progress(done: int = 50, *waves: WaveProgress, listed_all: bool = True) -> Progress:
    return Progress(
        stage="copy",
        listed=1000,
        planned=100,
        planned_bytes=1 << 20,
        done=done,
        done_bytes=done * (1 << 20) // 100,
        failed=0,
        finished_listing=listed_all,
        waves=waves,
    )


def summary(**changes: object) -> Summary:
    plain = Summary(
        run_id="20261121T021500-abcd",
        dataset="genomes",
        state="done",
        exit_code=0,
        listed=1000,
        unchanged=900,
        copied=100,
        copied_bytes=1 << 20,
        updated=0,
        made=7,
        verified=100,
        deleted=0,
        kept=0,
        failed=0,
        seconds=12.3,
        first_byte_s=0.4,
        notes=(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def plan(entries: int) -> DeletePlan:
    return DeletePlan(
        id=7,
        dataset_id=1,
        run_id="20261121T021500-abcd",
        manifest_id=6,
        entries=entries,
        content_bytes=1 << 20,
        reason=HOSTILE,
        state=PlanState.WAITING,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
        decided_by=None,
        decided_at=None,
        because=None,
        apply_run_id=None,
    )
