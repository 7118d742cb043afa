"""What a night leaves in the catalog, and what becomes of it there."""

import subprocess
from dataclasses import replace

from sqlalchemy import text

from haulage.catalog import datasets
from haulage.catalog.manifests import reader
from haulage.catalog.runs.runs import RunState
from tests.e2e.exact import assert_exact
from tests.e2e.place import COMMAND, GUARDED, GUARDED_OPTIONS, Place, grow_old, write
from tests.mounts import FileSystem, mounted


def versions_of(place: Place) -> list[int]:
    catalog = place.catalog()
    row = datasets.find(catalog, place.name)
    return [version.id for version in reader.versions(catalog, row.id)]


def test_a_night_without_a_change_makes_no_version_of_the_manifest(
    place: Place,
) -> None:
    write(place.source / "a")
    grow_old()
    place.sync()
    first = versions_of(place)
    assert place.sync().unchanged == 2
    assert versions_of(place) == first
    write(place.source / "b")
    place.sync()
    assert len(versions_of(place)) == 2


def test_old_versions_that_can_not_be_removed_fail_no_run(place: Place) -> None:
    catalog = place.catalog()
    forbidden = "BEGIN SELECT RAISE(ABORT, 'not now'); END"
    with catalog.begin() as connection:
        on = "CREATE TRIGGER keeps BEFORE DELETE ON manifests " + forbidden
        connection.execute(text(on))
    for number in range(9):
        write(place.source / f"{number}")
        assert place.sync().exit_code == 0
        assert place.last_run().state is RunState.DONE
    assert len(versions_of(place)) == 9
    with catalog.begin() as connection:
        connection.execute(text("DROP TRIGGER keeps"))
    place.sync()
    assert len(versions_of(place)) == 7


def test_a_night_that_only_deletes_is_forced_to_the_disk(place: Place) -> None:
    write(place.source / "a")
    write(place.source / "b")
    place.sync(**GUARDED)
    (place.source / "a").unlink()
    grow_old()
    place.sync(**GUARDED | {"delete": "off"})  # so that nothing is young any more
    calls = place.root / "calls"
    done = subprocess.run(
        [
            *("strace", "-f", "-e", "trace=syncfs", "-o", str(calls), str(COMMAND)),
            *("sync", str(place.source), str(place.target), "--name", place.name),
            *GUARDED_OPTIONS,
        ],
        env=place.environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (place.target / "a").exists()
    assert "syncfs(" in calls.read_text()


def test_a_full_disk_of_the_workspace_and_the_catalog_is_told_as_such(
    place: Place,
) -> None:
    for number in range(4000):
        write(place.source / f"a-file-with-a-rather-long-name-{number:060}")
    with mounted(FileSystem.TMPFS, place.root, size=700 << 10) as small:
        place.home.rmdir()
        place.home.symlink_to(small)
        full = replace(place, catalog_url=f"sqlite:///{small}/catalog.db")
        ended = full.sync_by_command("--shard-entries", "200")
        assert ended.code == 2, ended.text
        assert "No space left on device; Haulage's own files" in ended.text
        assert "Traceback" not in ended.text
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        run_id = full.haulage("runs").out.decode().split()[0]
        assert full.haulage("resume", run_id).code == 0
        assert_exact(full)


def test_a_broken_page_costs_a_comparison_with_the_target_and_nothing_else(
    place: Place,
) -> None:
    for number in range(9):
        write(place.source / f"{number}")
    grow_old()
    place.sync(**GUARDED)
    catalog = place.catalog()
    with catalog.begin() as connection:
        half = "substr(content, 1, 300) || x'00' || substr(content, 302)"
        change = text(f"UPDATE manifest_pages SET content = CAST({half} AS BLOB)")
        connection.execute(change)
    write(place.source / "new")
    broken = place.sync_by_command()
    assert broken.code == 2, broken.text
    assert f"--dataset {place.name} --afresh" in broken.text
    assert "Traceback" not in broken.text
    afresh = place.sync_by_command("--afresh")
    assert afresh.code == 0, afresh.text
    assert afresh.summary()["copied"] == 1, "the rest was found in the target"
    assert_exact(place)
    assert place.sync_by_command().code == 0
    assert len(place.manifest()) == 11
