"""End jobs that runs without a driver have left on a cluster."""

import re

from haulage.catalog import datasets
from haulage.catalog.db.engine import Catalog
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import RunState
from haulage.config.launchers import Slurm
from haulage.errors import RefusedError
from haulage.launch import open as launchers
from haulage.launch.engine import SlotLife

_JOB = re.compile(r"haulage-(?P<run>\d{8}T\d{6}-[a-z2-7]{6})-\d+-\d+")


def cancel_orphans(catalog: Catalog) -> list[str]:
    """Cancel the jobs of runs that nobody drives; return the names of those runs.

    Jobs of runs that this catalog does not know may be another one's, and stay.
    """
    found: set[str] = set()
    policies = (row.dataset.policy for row in datasets.every(catalog))
    for launcher in {
        one.launcher for one in policies if isinstance(one.launcher, Slurm)
    }:
        engine = launchers.engine_of(launcher)
        views = engine.look("haulage-")
        jobs = {view.job for view in views if view.life is not SlotLife.ENDED}
        by_run = {job: match["run"] for job in jobs if (match := _JOB.fullmatch(job))}
        orphans = {run for run in {*by_run.values()} if _is_orphan(catalog, run)}
        engine.cancel([job for job, run in by_run.items() if run in orphans])
        found |= orphans
    return sorted(found)


def _is_orphan(catalog: Catalog, run_id: str) -> bool:
    try:
        run = runs.find(catalog, run_id)
    except RefusedError:
        return False
    return run.state is not RunState.ACTIVE or not runs.is_driven(catalog, run)
