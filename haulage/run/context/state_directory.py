"""Haulage's own files in the state directory, which may hold other things as well."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from haulage.catalog.db.engine import Catalog, home
from haulage.place import Place

WORK = "work"  # workspaces of runs
NOTES = "datasets"  # what is remembered of their listings
SERVER = "prefect"
ERRORS = "errors.log"

_DATABASE_ENDS = ("", "-wal", "-shm", ".lock")


def own_directories() -> list[Path]:
    """Return the directories that Haulage uses for itself, existing or not."""
    return [home() / name for name in (WORK, NOTES, SERVER)]


def shut_in(catalog: Catalog, target: Place) -> tuple[tuple[int, int], ...]:
    """Return (device, inode) of what no source includes: the target and Haulage's own.

    Comparing device and inode also finds them through a bind mount.
    """
    roots = [] if target.is_bucket else [Path(target.url)]
    directories = _found(os.path.isdir, [*own_directories(), *roots])
    files = _found(os.path.isfile, _own_files(catalog))
    return tuple((each.st_dev, each.st_ino) for each in (*directories, *files))


def _own_files(catalog: Catalog) -> list[Path]:
    databases = {home() / "catalog.db"}
    if catalog.engine.dialect.name == "sqlite":
        databases.add(Path(str(catalog.engine.url.database)))
    ours = [Path(f"{each}{end}") for each in databases for end in _DATABASE_ENDS]
    return [home() / ERRORS, *ours]


def _found(
    is_one: Callable[[Path], bool], paths: Iterable[Path]
) -> list[os.stat_result]:
    return [path.stat() for path in paths if is_one(path)]
