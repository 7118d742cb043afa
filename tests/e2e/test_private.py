"""What names things in private directories is for its owner's eyes alone."""

import os
import subprocess
from pathlib import Path

from tests.e2e.place import Place, write
from tests.e2e.processes import of_place, wait_until

FILES = 300


def open_to_others(root: Path) -> list[str]:
    """Return what others than the owner may do anything with."""
    return [
        f"{path} {path.stat().st_mode:o}"
        for path in [root, *root.rglob("*")]
        if path.stat().st_mode & 0o077
    ]


def test_catalog_and_workspace_are_closed_whatever_the_umask(place: Place) -> None:
    for number in range(FILES):
        write(place.source / f"{number}")
    os.rmdir(place.home)
    words = place.command("sync", place.source, place.target, "--name", "tree")
    line = f"umask 0; exec {' '.join(words)} --movers 1 --shard-entries 20"
    process = subprocess.Popen(
        ["bash", "-c", line],
        env={**place.environment(), "HAULAGE_CATALOG": ""},
        cwd=place.root,
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: any(place.home.glob("work/*/outcomes/*")), process)
    process.kill()
    process.wait()
    wait_until(lambda: not of_place(place))
    assert (place.home / "catalog.db").exists()
    assert any(place.home.glob("work/*/outcomes/*.parquet"))
    assert open_to_others(place.home) == []


def test_what_an_earlier_version_left_open_is_closed(place: Place) -> None:
    write(place.source / "file")
    assert place.sync_by_command().code == 0
    database = place.root / "catalog.db"
    (place.home / "work").mkdir(exist_ok=True)
    for path in (database, place.home / "work", place.home / "datasets"):
        path.chmod(0o755)
    assert place.sync_by_command().code == 0
    assert database.stat().st_mode & 0o777 == 0o700 & 0o755
    assert open_to_others(place.home / "work") == []
    assert open_to_others(place.home / "datasets") == []
