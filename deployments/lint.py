"""Find in prefect.yaml what Prefect would silently ignore.

Prefect drops misspelt keys, stores unknown job variables unused, and turns an unset
environment variable into an empty text. Each of these is a finding here.
"""

import haulage.start  # noqa: F401  comes before all else

# isort: split

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import construct_schedule
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.templating import apply_values
from prefect.workers.process import ProcessWorker

Tree = Mapping[str, Any]

_STEPS = {"build", "push", "pull"}
ALLOWED = {
    "prefect.yaml": _STEPS | {"definitions", "deployments", "name", "prefect-version"},
    "deployment": _STEPS
    | {"concurrency_limit", "description", "enforce_parameter_schema", "entrypoint"}
    | {"name", "parameters", "paused", "schedules", "tags", "triggers", "version"}
    | {"work_pool"},
    "schedule": {"active", "anchor_date", "cron", "day_or", "interval", "parameters"}
    | {"rrule", "slug", "timezone"},
    "concurrency_limit": {"collision_strategy", "grace_period_seconds", "limit"},
    "work_pool": {"job_variables", "name", "work_queue_name"},
}
REQUIRED = {"description", "entrypoint", "name", "parameters", "work_pool"}
_VARIABLE = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")


def pool_templates() -> dict[str, Tree]:
    """Return the base job template of every work pool that deployments may name.

    The settings that decide which code a run starts are not variables: otherwise
    whoever may start a run could start any command. Because `env` is among the fixed
    settings, a run's own is never merged in.
    """
    template = ProcessWorker.get_default_base_job_template()
    for fixed in ("command", "env", "working_dir"):
        del template["job_configuration"][fixed]
        del template["variables"]["properties"][fixed]
    return {"haulage": template}


def lint(text: str, templates: Mapping[str, Tree]) -> list[str]:
    """Return what is wrong with the text of a prefect.yaml, a sentence each."""
    tree = yaml.safe_load(text)
    deployments = tree.get("deployments") or []
    names = [deployment.get("name") for deployment in deployments]
    return [
        *_unknown_keys(tree, "prefect.yaml", "prefect.yaml"),
        *_unset_variables(text),
        *(f"two deployments are named {name!r}" for name in _doubles(names)),
        *(
            f"deployment {deployment.get('name')!r}: {finding}"
            for deployment in deployments
            for finding in _lint_deployment(deployment, templates)
        ),
    ]


def _lint_deployment(deployment: Tree, templates: Mapping[str, Tree]) -> Iterator[str]:
    yield from _unknown_keys(deployment, "deployment", "the deployment")
    for key in sorted(REQUIRED - deployment.keys()):
        yield f"{key!r} is missing"
    for schedule in deployment.get("schedules") or ():
        yield from _lint_schedule(schedule)
    yield from _lint_limit(deployment.get("concurrency_limit"))
    yield from _lint_pool(deployment.get("work_pool") or {}, templates)
    yield from _lint_parameters(deployment)


def _lint_schedule(schedule: Tree) -> Iterator[str]:
    yield from _unknown_keys(schedule, "schedule", "a schedule")
    if "slug" not in schedule:
        yield "a schedule without a slug becomes a new one with every change"
    try:
        construct_schedule(
            cron=schedule.get("cron"),
            interval=schedule.get("interval"),
            rrule=schedule.get("rrule"),
            timezone=schedule.get("timezone"),
        )
    except ValueError as err:
        yield f"not a schedule: {err}"


def _lint_limit(limit: Tree | int | None) -> Iterator[str]:
    if limit is None or isinstance(limit, int):
        return
    yield from _unknown_keys(limit, "concurrency_limit", "concurrency_limit")
    strategy = limit.get("collision_strategy", "ENQUEUE")
    if strategy not in {known.value for known in ConcurrencyLimitStrategy}:
        yield f"unknown collision strategy {strategy!r}"


def _lint_pool(pool: Tree, templates: Mapping[str, Tree]) -> Iterator[str]:
    yield from _unknown_keys(pool, "work_pool", "work_pool")
    template = templates.get(pool.get("name", ""))
    if template is None:
        yield f"unknown work pool {pool.get('name')!r}; known: {sorted(templates)}"
        return
    known = template["variables"]["properties"]
    for name in sorted((pool.get("job_variables") or {}).keys() - known):
        yield (
            f"pool {pool['name']!r} has no job variable {name!r}; it has "
            f"{sorted(known)}"
        )


def _lint_parameters(deployment: Tree) -> Iterator[str]:
    """Load the flow and pass it the parameters as they would be deployed.

    A deployment that only people start may leave all of them to its run form.
    """
    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(
            deployment.get("entrypoint", "")
        )
    except Exception as err:  # noqa: BLE001 - whatever an import may raise is a finding
        yield f"entrypoint {deployment.get('entrypoint')!r}: {err!r}"
        return
    if not deployment.get("parameters") and not deployment.get("schedules"):
        return
    given = apply_values(dict(deployment.get("parameters") or {}), dict(os.environ))
    try:
        checked = flow.validate_parameters(given)
    except Exception as err:  # noqa: BLE001 - as above
        yield f"parameters: {err}"
        return
    if "dataset" in checked and _tag(checked) not in (deployment.get("tags") or ()):
        yield f"the tag {_tag(checked)!r} is missing"


def _tag(parameters: Tree) -> str:
    return f"dataset:{parameters['dataset'].name}"


def _unknown_keys(tree: Tree, kind: str, what: str) -> Iterator[str]:
    for key in sorted(tree.keys() - ALLOWED[kind]):
        yield f"{what} has no key {key!r}; it may have {sorted(ALLOWED[kind])}"


def _unset_variables(text: str) -> Iterator[str]:
    for name in sorted(set(_VARIABLE.findall(text))):
        if not os.environ.get(name):
            yield f"the environment variable {name} is not set"


def _doubles(names: list[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}


def main() -> int:
    """Print the findings in ./prefect.yaml; 1 if there are any."""
    findings = lint(Path("prefect.yaml").read_text("utf-8"), pool_templates())
    for finding in findings:
        print(f"prefect.yaml: {finding}", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
