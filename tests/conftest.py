import os

import pytest

pytest_plugins = ["tests.servers.fixtures"]

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def pytest_configure(config: pytest.Config) -> None:
    """Keep Prefect, wherever a test starts it, from phoning home."""
    os.environ.update(QUIET)
