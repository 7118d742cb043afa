"""A database that crashes, restarts, stays away or loses its connections mid-run."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from haulage.catalog import datasets
from haulage.catalog.manifests.reader import versions
from tests.cutting import cutter
from tests.e2e.place import GUARDED_OPTIONS, Place, grow_old, write
from tests.e2e.processes import of_place, outcomes_in, start, wait_until
from tests.postgres import PostgresServer
from tests.trees.compare import assert_same, leftovers

FILES = 100
OPTIONS = ("--shard-entries", "4", "--movers", "2", "--json")
LATE = 20  # shards done


@pytest.fixture
def remote(place: Place, postgres: PostgresServer) -> Place:
    """Return a place with many small shards to do and its catalog in Postgres."""
    for number in range(FILES):
        write(place.source / f"d{number % 9}" / f"f{number}", b"%d" % number)
    grow_old()
    place = Place(place.root, postgres.fresh_database(), place.source)
    place.catalog()  # its tables are made
    return place


def words(place: Place) -> tuple[str | Path, ...]:
    return ("sync", place.source, place.target, "--name", place.name, *OPTIONS)


def assert_done_once(place: Place, manifests: int = 1) -> None:
    """Look that all is there, and was committed as one version."""
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
    assert of_place(place) == []
    catalog = place.catalog()
    dataset = datasets.find(catalog, place.name)
    assert len(versions(catalog, dataset.id)) == manifests
    assert len(place.manifest()) == FILES + 9 + 1
    ended = place.sync_by_command(*GUARDED_OPTIONS)
    assert ended.code == 0, ended.text
    assert ended.summary()["copied"] == 0


@pytest.mark.parametrize(
    ("mode", "done"),
    [
        ("fast", 5),
        *(
            pytest.param(mode, done, marks=pytest.mark.torture)
            for mode, done in (("fast", 0), ("fast", LATE), ("immediate", LATE))
        ),
    ],
)
def test_a_database_that_restarts_only_delays(
    remote: Place, postgres: PostgresServer, mode: str, done: int
) -> None:
    process = start(remote, *words(remote))
    wait_until(lambda: outcomes_in(remote) >= done, process)
    postgres.stop(mode)
    postgres.start()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["copied"] == FILES
    assert_done_once(remote)


@pytest.mark.parametrize(
    "arrives", [True, pytest.param(False, marks=pytest.mark.torture)]
)
def test_connections_that_break_at_every_third_commit_do_nothing_twice(
    remote: Place, postgres: PostgresServer, arrives: bool
) -> None:
    here = Path(tempfile.mkdtemp(prefix="haulage-cut-"))
    with cutter(postgres.socket_dir, here) as way:
        way.arrives = arrives
        way.cuts = lambda number: number % 3 == 0
        url = remote.catalog_url.replace(str(postgres.socket_dir), str(here))
        ended = replace(remote, catalog_url=url).haulage(*words(remote))
        assert way.was_cut > 10
    shutil.rmtree(here)
    assert ended.code == 0, ended.text
    assert ended.summary()["copied"] == FILES
    assert_done_once(remote)


@pytest.mark.torture
def test_a_database_that_stays_away_ends_the_run_in_words_and_resume_finishes(
    remote: Place, postgres: PostgresServer
) -> None:
    process = start(remote, *words(remote))
    wait_until(lambda: outcomes_in(remote) >= LATE, process)
    postgres.stop("immediate")
    _, err = process.communicate()
    postgres.start()
    assert process.returncode == 2
    assert b"check that the database is up" in err
    assert b"Traceback" not in err
    assert of_place(remote) == []
    resumed = remote.haulage("resume", remote.last_run().id, "--json")
    assert resumed.code == 0, resumed.text
    assert_done_once(remote)
