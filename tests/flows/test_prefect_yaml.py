from pathlib import Path

import pytest

from deployments.lint import lint, pool_templates

TEXT = (Path(__file__).parents[2] / "prefect.yaml").read_text("utf-8")
WITH_MEMORY = "    name: haulage\n    job_variables: {memory: 1}\n"


def findings(text: str) -> str:
    return "\n".join(lint(text, pool_templates()))


def test_every_deployment_of_the_checkout_is_as_prefect_wants_it() -> None:
    assert findings(TEXT) == ""


def test_one_deployment_runs_every_night_and_none_twice_at_once() -> None:
    assert 'cron: "15 2 * * *"' in TEXT
    assert "collision_strategy: CANCEL_NEW" in TEXT


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("    concurrency_limit:", "    concurency_limit:", "'concurency_limit'"),
        ("    schedules:", "    schedulez:", "'schedulez'"),
        ("    cron:", "    crom:", "'crom'"),
        ("    limit: 1", "    limitt: 1", "'limitt'"),
        ("CANCEL_NEW", "CANCEL_OLD", "'CANCEL_OLD'"),
        ('"15 2 * * *"', '"15 2 * *"', "not a schedule"),
        ("    name: haulage", "    name: haulagge", "unknown work pool"),
        ("    name: haulage\n", WITH_MEMORY, "no job variable 'memory'"),
        ("flows/sync.py:sync", "flows/sync.py:snyc", "entrypoint"),
        ("        source: /usr/share\n", "", "source"),
        ("    delete: guarded", "    delete: sometimes", "delete"),
        ("      dry_run: false", "      dry_rum: false", "dry_rum"),
        ("{{ $HOME }}", "{{ $NO_SUCH_VARIABLE }}", "NO_SUCH_VARIABLE is not set"),
        ('tags: ["dataset:usr-share"]', "tags: []", "'dataset:usr-share' is missing"),
        (
            "- name: python-library",
            "- name: usr-share",
            "two deployments are named 'usr-share'",
        ),
        ("deployments:", "deploymnets:", "'deploymnets'"),
    ],
)
def test_a_planted_mistake_is_found(right: str, wrong: str, told: str) -> None:
    assert right in TEXT
    assert told in findings(TEXT.replace(right, wrong))
