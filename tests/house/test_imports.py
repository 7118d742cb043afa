"""What a process pulls in is measured in a fresh one, through everything it imports."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "alembic",
    "boto3",
    "kubernetes",
    "kubernetes_asyncio",
    "pandas",
    "prefect",
    "psycopg",
    "pydantic",
    "rich",
    "sqlalchemy",
}
REPORT = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def packages_after(statements):
    """Return the top-level packages in a fresh interpreter after `statements`."""
    child = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{REPORT}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    modules = json.loads(child.stdout.splitlines()[-1])
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("module", ["haulage.workers.mover", "haulage.workers.lister"])
def test_what_is_started_by_the_thousand_imports_nothing_heavy(module):
    assert packages_after(f"import {module}") & HEAVY == set()


def test_the_command_line_gives_its_help_without_importing_what_is_heavy():
    packages = packages_after(
        "import sys\n"
        "from haulage.cli.main import main\n"
        "try:\n"
        "    sys.exit(main(['--help']))\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code"
    )
    assert packages & {"alembic", "pandas", "prefect"} == set()


def test_the_installed_command_starts():
    command = sys.executable.rpartition("/")[0] + "/haulage"
    child = subprocess.run(
        [command, "--help"], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    assert "usage: haulage" in child.stdout
