"""Whatever is killed, whenever: the next command finishes and repeats nothing."""

import json
import os
import random
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import RunState
from haulage.catalog.runs.shards import ShardState
from haulage.errors import CancelledError
from tests.e2e.place import Place, grow_old, stats_in, write
from tests.e2e.processes import (
    kill,
    of_place,
    outcomes_in,
    start,
    wait_until,
)
from tests.trees.build import plant
from tests.trees.compare import assert_same, leftovers

KILLS_A_SYNC = 6
OPTIONS = ("--movers", "2", "--shard-entries", "50", "--shard-bytes", "1M", "--json")
SHARDS = 35  # of copies, at least; as many verify them
DoneShards = dict[int, str | None]


@pytest.fixture(scope="session")
def large_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 1,500 entries and some files of several shards. Tests only read it."""
    root = tmp_path_factory.mktemp("large") / "tree"
    plant(root, seed=31, entries=1500, links=True)
    for number in range(3):
        write(root / f"huge-{number}", random.Random(number).randbytes(50 << 20))
    grow_old()
    return root


def sync_words(place: Place) -> list[str]:
    return [
        "sync",
        str(place.source),
        str(place.target),
        "--name",
        place.name,
        *OPTIONS,
    ]


def resume_words(place: Place) -> list[str]:
    """Return how to go on with the newest run, or how to begin if there is none."""
    newest = runs.recent(place.catalog(), None, 1)
    if not newest or newest[0].state in (RunState.DONE, RunState.SUPERSEDED):
        return sync_words(place)
    return ["resume", newest[0].id, "--json"]


def victim(place: Place, dice: random.Random, main: int) -> int:
    """Choose whom to kill: the driver, a mover or a lister."""
    module = dice.choice(["haulage.mover", "haulage.lister", ""])
    found = [pid for pid in of_place(place, module) if pid != main] if module else []
    return dice.choice(found) if found else main


def done_shards(place: Place) -> DoneShards:
    """Return the finished shards of the newest run with the outcome of each."""
    shards = place.shards_of(place.last_run().id)
    return {
        shard.id: shard.outcome for shard in shards if shard.state is ShardState.DONE
    }


def interrupt(place: Place, dice: random.Random, words: list[str]) -> int:
    """Run a command and kill some process of it after some shards."""
    enough = outcomes_in(place) + dice.randrange(SHARDS // 2)
    process = start(place, *words)
    if enough:
        wait_until(lambda: outcomes_in(place) >= enough, process)
    kill(victim(place, dice, process.pid))
    out, err = process.communicate()
    told = (words[0], out, err, place.failures() if process.returncode == 1 else {})
    assert process.returncode in (0, 2, -signal.SIGKILL), told
    assert b"Traceback" not in err, err.decode()
    wait_until(lambda: not of_place(place))
    return process.returncode


def go_on(place: Place, dice: random.Random) -> list[str]:
    """Return the words of a resume or, as often, of a sync that supersedes."""
    return dice.choice([resume_words, sync_words])(place)


def one_sync(place: Place, dice: random.Random) -> int:
    """Kill some times on the way to an equal target; return the kills that hit."""
    hits, words = 0, sync_words(place)
    known: DoneShards = {}
    for _ in range(KILLS_A_SYNC):
        hits += interrupt(place, dice, words) != 0
        if words[0] == "resume":
            assert known.items() <= done_shards(place).items()
        known = done_shards(place) if (place.root / "catalog.db").exists() else {}
        words = go_on(place, dice)
    ended = place.haulage(*words)
    assert ended.code == 0, ended.text
    if words[0] == "resume":
        assert known.items() <= done_shards(place).items()
    assert_settled(place)
    return hits


def assert_settled(place: Place) -> None:
    """Look at all that a finished sync promises, however often it was interrupted."""
    assert_same(place.source, place.target)
    assert leftovers(place.target) == []
    assert of_place(place) == []
    assert list(place.home.glob("work/*")) == []
    every = runs.recent(place.catalog(), None, 100)
    assert every[0].state is RunState.DONE
    assert {run.state for run in every} <= {RunState.DONE, RunState.SUPERSEDED}
    found = stats_in(place.source).values()
    files = sum(stat.S_ISREG(info.st_mode) for info in found)
    assert sum(int(str((run.summary or {})["copied"])) for run in every) <= files
    assert {path.rstrip(b"/") for path in place.manifest()} - {b""} == set(
        stats_in(place.source)
    )


def start_afresh(place: Place) -> None:
    """Remove target and catalog, so that the next sync begins with nothing."""
    for name in ("target", "home"):
        shutil.rmtree(place.root / name, ignore_errors=True)
    for file in place.root.glob("catalog.db*"):
        file.unlink()


def kill_in_many_syncs(place: Place, tree: Path, syncs: int, seed: int) -> None:
    place = place.with_source(tree)
    dice, hits = random.Random(seed), 0
    for _ in range(syncs):
        start_afresh(place)
        hits += one_sync(place, dice)
    again = place.haulage(*sync_words(place))
    assert (again.code, again.summary()["copied"], again.summary()["made"]) == (0, 0, 0)
    assert hits >= syncs  # a kill that comes too late interrupts nothing


@pytest.mark.slow
def test_half_a_dozen_kills_leave_no_trace(place: Place, large_tree: Path) -> None:
    kill_in_many_syncs(place, large_tree, syncs=1, seed=1)


@pytest.mark.torture
def test_thirty_kills_leave_no_trace(place: Place, large_tree: Path) -> None:
    kill_in_many_syncs(place, large_tree, syncs=5, seed=1)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_hundreds_of_kills_leave_no_trace(
    place: Place, large_tree: Path, seed: int
) -> None:
    kill_in_many_syncs(place, large_tree, syncs=10, seed=seed)


def test_what_is_killed_on_postgres_goes_on(
    place: Place, large_tree: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").fresh_database()
    place = Place(place.root, url, large_tree)
    process = start(place, *sync_words(place))
    wait_until(lambda: outcomes_in(place) >= SHARDS // 3, process)
    kill(process.pid)
    process.communicate()
    wait_until(lambda: not of_place(place))
    known = done_shards(place)
    assert known
    status = place.haulage("status", "--json").lines()
    assert status[0]["state"] == "interrupted"
    ended = place.haulage(*resume_words(place))
    assert ended.code == 0, ended.text
    assert known.items() <= done_shards(place).items()
    assert_settled(place)


def test_a_sync_goes_on_by_itself_when_a_mover_is_killed(
    place: Place, large_tree: Path
) -> None:
    place = place.with_source(large_tree)
    process = start(place, *sync_words(place))
    wait_until(lambda: outcomes_in(place) >= SHARDS // 10, process)
    kill(of_place(place, "haulage.mover")[0])
    wait_until(lambda: outcomes_in(place) >= SHARDS // 3, process)
    kill(of_place(place, "haulage.mover")[0])
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    assert json.loads(out.splitlines()[-1])["failed"] == 0
    assert_settled(place)


@pytest.fixture(
    params=[
        signal.SIGTERM,
        *(
            pytest.param(number, marks=pytest.mark.torture)
            for number in (signal.SIGINT, signal.SIGHUP)
        ),
    ],
    ids=lambda number: number.name,
)
def stopped(
    place: Place, large_tree: Path, request: pytest.FixtureRequest
) -> tuple[Place, subprocess.CompletedProcess[bytes]]:
    """Return a place whose sync was asked to stop in its middle, and how it ended."""
    place = place.with_source(large_tree)
    process = start(place, *sync_words(place))
    wait_until(lambda: outcomes_in(place) >= SHARDS // 3, process)
    process.send_signal(request.param)
    out, err = process.communicate()
    words = process.args
    assert isinstance(words, list)
    return place, subprocess.CompletedProcess(words, process.returncode, out, err)


def test_a_sync_that_is_asked_to_stop_says_how_to_go_on(
    stopped: tuple[Place, subprocess.CompletedProcess[bytes]],
) -> None:
    place, ended = stopped
    assert ended.returncode == 2
    assert of_place(place) == []
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    run = place.last_run()
    assert run.state == "cancelled"
    assert f"haulage resume {run.id}".encode() in ended.stderr
    known = done_shards(place)
    assert known
    resumed = place.haulage("resume", run.id, "--json")
    assert resumed.code == 0, resumed.text
    assert known.items() <= done_shards(place).items()
    assert_settled(place)


@pytest.mark.parametrize(
    "moment", [pytest.param("at once", marks=pytest.mark.torture), "listing"]
)
def test_an_early_stop_leaves_nothing_behind(
    place: Place, large_tree: Path, moment: str
) -> None:
    place = place.with_source(large_tree)
    process = start(place, *sync_words(place))
    if moment == "listing":
        wait_until(lambda: bool(of_place(place, "haulage.lister")), process)
    else:
        wait_until(lambda: bool(of_place(place, "haulage.mover")), process)
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 2
    assert b"Traceback" not in err, err.decode()
    assert of_place(place) == []
    assert place.haulage("status", "--json").lines()[0]["state"] == "cancelled"
    ended = place.haulage(*sync_words(place))
    assert ended.code == 0, ended.text
    assert_settled(place)


def test_a_run_that_was_nearly_superseded_can_be_resumed(
    place: Place, large_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place.with_source(large_tree)
    process = start(place, *sync_words(place))
    wait_until(lambda: outcomes_in(place) >= SHARDS // 3, process)
    kill(process.pid)
    process.communicate()
    wait_until(lambda: not of_place(place))
    interrupted = place.last_run()

    def stop(*_of_a_commit: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("haulage.run.recovery.supersede.commit", stop)
        with pytest.raises(CancelledError):
            place.sync()
    assert place.last_run().id == interrupted.id
    resumed = place.haulage("resume", interrupted.id, "--json")
    assert resumed.code == 0, resumed.text
    assert_settled(place)


def test_what_a_killed_run_changed_is_looked_at_though_its_source_is_back(
    place: Place,
) -> None:
    for number in range(60):
        write(place.source / f"others/{number}", b"other")
    write(place.source / "p/file", b"as it was")
    write(place.root / "new/file", b"for one night")
    write(place.root / "new/large", bytes(256 << 20))
    grow_old()
    place.sync()
    switch(place.source / "p", place.root / "old", place.root / "new")
    words = ("sync", place.source, place.target, "--name", place.name)
    process = start(place, *words, "--movers", "1")
    changed = place.target / "p/file"
    wait_until(lambda: changed.read_bytes() == b"for one night", process)
    for pid in of_place(place):
        kill(pid)
    process.communicate()
    assert outcomes_in(place) == 0
    switch(place.source / "p", place.root / "new", place.root / "old")
    place.sync()
    assert changed.read_bytes() == b"as it was"


def switch(current: Path, aside: Path, other: Path) -> None:
    """Put another directory in the place of the current one, as a release is."""
    current.rename(aside)
    other.rename(current)
