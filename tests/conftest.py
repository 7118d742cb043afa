import gc
import os
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.servers.fixtures"]
pytest.register_assert_rewrite("tests.e2e.exact", "tests.e2e.linked")

SHARED = {
    # servers, slow to start
    *("localstack", "prefect_server", "az", "installation", "slurm"),
    "huge",  # files of a gigabyte, of which the disk need not hold several
}
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def pytest_configure(config: pytest.Config) -> None:
    """Keep Prefect, wherever a test starts it, from phoning home."""
    os.environ.update(QUIET)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile, and none of what was made: it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests of what is to be there once to one process of several."""
    for item in items:
        names = {*getattr(item, "fixturenames", ()), *_params(item)}
        for shared in SHARED & names:
            item.add_marker(pytest.mark.xdist_group(shared))


def _params(item: pytest.Item) -> list[str]:
    called = getattr(item, "callspec", None)
    values = called.params.values() if called else ()
    return [value for value in values if isinstance(value, str)]


@pytest.fixture
def commons() -> Iterator[Path]:
    """Give an empty directory that every user may enter and change."""
    where = Path(tempfile.mkdtemp(prefix="haulage-test-"))
    where.chmod(0o777)
    yield where
    subprocess.run(["rm", "-rf", str(where)], check=True)


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files of more than 64 KiB be large in this process, with ranges of that."""
    monkeypatch.setattr("haulage.place._SMALLEST_PART", 1 << 16)
