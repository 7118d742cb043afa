"""Places to work in, and a nasty tree that is only read."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.catalogs import url_of
from tests.e2e.linked import link, night
from tests.e2e.place import AS_NOBODY, NOBODY, Place, close_catalogs, grow_old, write
from tests.postgres import postgres
from tests.trees.build import plant

__all__ = ["postgres"]


@pytest.fixture(autouse=True)
def _catalogs_closed() -> Iterator[None]:
    yield
    close_catalogs()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a place with a SQLite catalog and an empty source."""
    return _made(tmp_path, f"sqlite:///{tmp_path / 'catalog.db'}", monkeypatch)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.torture)])
def any_place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """Return a place once with SQLite and once with Postgres."""
    return _made(tmp_path, url_of(request, tmp_path), monkeypatch)


@pytest.fixture
def nobodys_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Return a place whose commands run as nobody, who owns all of it."""
    python = nobodys_python()
    root = Path(tempfile.mkdtemp(prefix="haulage-nobody-"))
    place = _made(root, f"sqlite:///{root / 'catalog.db'}", monkeypatch)
    give_to_nobody(root)
    yield replace(place, nobodys_python=python)
    shutil.rmtree(root)


def nobodys_python() -> str:
    """Return an interpreter like ours that nobody's processes may start, too."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    name = f"python3.{sys.version_info.minor}"
    starts = "import subprocess, sys; subprocess.check_call([sys.executable, '-V'])"
    for python in (sys.executable, f"/usr/local/bin/{name}", f"/usr/bin/{name}"):
        command = [*AS_NOBODY, python, "-c", starts]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"nobody may start no {name} here: the directory of ours is closed")


def give_to_nobody(root: Path) -> None:
    """Make nobody the owner of a tree."""
    os.chown(root, NOBODY, NOBODY)
    for directory, dirs, files in os.walk(root):
        for name in [*dirs, *files]:
            os.lchown(os.path.join(directory, name), NOBODY, NOBODY)


@pytest.fixture
def linked(place: Place) -> Place:
    """Give two groups that lie across directories, and are synced."""
    write(place.source / "a" / "one", b"first")
    link(place, "a/one", "a/two", "b/c/three", "z")
    write(place.source / "b" / "other", b"second")
    link(place, "b/other", "a/other")
    for number in range(9):
        write(place.source / "b" / f"single-{number}", b"%d" % number)
    summary = night(place)
    assert (summary.copied, summary.made) == (11, 4 + 4)  # with directories
    return place


@pytest.fixture(scope="session")
def nasty_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree of all that breaks tools. Tests only read it."""
    root = tmp_path_factory.mktemp("nasty") / "tree"
    plant(root, seed=5, entries=1500, extras=True)
    grow_old()
    return root


@pytest.fixture(scope="session")
def plain_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree as offices have it. Tests only read it."""
    root = tmp_path_factory.mktemp("plain") / "tree"
    plant(root, seed=6, entries=600, nasty=False)
    grow_old()
    return root


def _made(root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(root, url, root / "source")
    place.source.mkdir()
    place.home.mkdir()
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    return place


@pytest.fixture
def start(place: Place, policy: dict[str, Any]) -> Iterator[Callable[[], int]]:
    """Give what syncs in a process of its own and returns its id."""
    children: list[int] = []

    def begin() -> int:
        if child := os.fork():
            children.append(child)
            return child
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            code = place.sync(**policy).exit_code
        finally:
            os._exit(code)

    yield begin
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
