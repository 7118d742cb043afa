"""Make a Prefect server ready for Haulage: work pool, blocks, deployments.

Run from the checkout, with PREFECT_API_URL set: python -m deployments.register
May be run again at any time; it then brings the server up to date.
"""

import haulage.start  # noqa: F401  comes before all else

# isort: split

import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path

import yaml
from prefect.cli import app
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import StateType
from prefect.events import (
    AutomationCore,
    ChangeFlowRunState,
    EventTrigger,
    Posture,
    ResourceSpecification,
)
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from blocks.launchers import HaulageSlurm
from blocks.results import SAVED_AS, CatalogResults
from blocks.stores import HaulageStore
from deployments import lint
from haulage.cli.server.up import LEASES, TELL

READY_TIMEOUT_S = 300.0
# Fewer than three would crash healthy runs whose heartbeats are late.
MISSED_HEARTBEATS = 3
OUR_FLOWS = "flows/"
ENDS = ("Completed", "Failed", "Cancelled", "Crashed")
SLOTS_FORGOTTEN = (
    "the server keeps leases of concurrency limits in memory, so a restart during a "
    "run leaves the slot taken, and CANCEL_NEW then cancels every later run: set "
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=" + LEASES + " for the server"
)


async def wait_until_ready(timeout_s: float = READY_TIMEOUT_S) -> None:
    """Wait for the server to answer; TimeoutError names its last error."""
    deadline = time.monotonic() + timeout_s
    async with get_client() as client:
        while error := await client.api_healthcheck():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no server at {client.api_url}: {error}")
            await asyncio.sleep(0.2)


async def ensure_pools() -> None:
    """Create the work pools that deployments name, or update them."""
    async with get_client() as client:
        for name, template in lint.pool_templates().items():
            fresh = dict(template)
            try:
                await client.read_work_pool(name)
            except ObjectNotFound:
                pool = WorkPoolCreate(
                    name=name, type="process", base_job_template=fresh
                )
                await client.create_work_pool(pool)
            else:
                await client.update_work_pool(
                    name, WorkPoolUpdate(base_job_template=fresh)
                )


async def ensure_blocks() -> None:
    """Register the block types, and save the block in which flows keep results."""
    await CatalogResults.aregister_type_and_schema()
    await CatalogResults().asave(SAVED_AS.partition("/")[2], overwrite=True)
    await HaulageStore.aregister_type_and_schema()  # with those for its credentials
    await HaulageSlurm.aregister_type_and_schema()


async def ensure_watch() -> None:
    """Mark flow runs as crashed whose process disappeared silently.

    Otherwise they would hold their deployment's slot for ever.
    """
    heartbeat_s = get_current_settings().flows.heartbeat_frequency
    if heartbeat_s is None:
        return
    silence = timedelta(seconds=MISSED_HEARTBEATS * heartbeat_s)
    known = {f"prefect.flow-run.{name}" for name in ("heartbeat", *ENDS)}
    watch = AutomationCore(
        name="haulage: crash silent runs",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect=known,
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"No sign of life for {silence}."
            )
        ],
    )
    async with get_client() as client:
        for old in await client.read_automations_by_name(watch.name):
            await client.delete_automation(old.id)
        await client.create_automation(watch)


async def strays(text: str) -> list[str]:
    """Return the deployments of our flows that are not in the text of prefect.yaml."""
    listed = yaml.safe_load(text)["deployments"]
    wanted = {(each["entrypoint"], each["name"]) for each in listed}
    async with get_client() as client:
        return [
            f"{(await client.read_flow(found.flow_id)).name}/{found.name}"
            for found in await client.read_deployments()
            if (found.entrypoint or "").startswith(OUR_FLOWS)
            and (found.entrypoint, found.name) not in wanted
        ]


async def forgets_slots(text: str) -> bool:
    """Tell whether a restart of the server would leave a deployment's slot taken.

    A slot that is never released cancels every later run of CANCEL_NEW.
    """
    listed = yaml.safe_load(text)["deployments"]
    limits = [each.get("concurrency_limit") for each in listed]
    if not any(
        isinstance(limit, dict) and limit.get("collision_strategy") == "CANCEL_NEW"
        for limit in limits
    ):
        return False
    async with get_client() as client:
        told = (await client.request("GET", "/admin/settings")).json()
    leases = told.get("server", {}).get("concurrency", {}).get("lease_storage", "")
    return str(leases).endswith(".memory")


async def prepare() -> None:
    """Create everything that deployments need."""
    await wait_until_ready()
    await ensure_pools()
    await ensure_blocks()
    await ensure_watch()


def main() -> int:
    """Prepare the server, then deploy everything in prefect.yaml."""
    if lint.main():
        return 2
    asyncio.run(prepare())
    text = Path("prefect.yaml").read_text("utf-8")
    if asyncio.run(forgets_slots(text)):
        print(f"{TELL}{SLOTS_FORGOTTEN}", file=sys.stderr)
    for name in asyncio.run(strays(text)):
        print(
            f"{TELL}{name} is no longer in prefect.yaml, but its schedules keep "
            f"running; 'prefect deployment delete {name}' ends them"
        )
    # The command itself, without a second start of Prefect that takes seconds.
    sys.argv[1:] = ["--no-prompt", "deploy", "--all"]
    app()
    return 0


if __name__ == "__main__":
    sys.exit(main())
