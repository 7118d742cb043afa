"""Many entries at once: their order, what ends them all, and what is left."""

import os
import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import cast

import pytest

from haulage.errors import CancelledError, FatalError, TransientError
from haulage.model import Kind, Outcome, Status, Verb
from haulage.verbs.perform import perform_many
from tests.engine_builders import OLD_NS, put
from tests.stores import MIB, PART, carrying, files_shelf, open_descriptors
from tests.verbs.ways import action_of

COUNT = 120
AHEAD = 18 * 3  # rows that eight threads have, and those given out to be next


@pytest.fixture
def shelves(tmp_path):
    """Two directories: what is tested here is not the store."""
    return files_shelf(tmp_path / "source"), files_shelf(tmp_path / "target")


@pytest.fixture
def attempt(shelves):
    with carrying(*(shelf.open() for shelf in shelves)) as made:
        yield made


def rows_for(attempt, paths, verb=Verb.COPY):
    return [action_of(attempt.source.look(path).entry, verb=verb) for path in paths]


def files_in(shelf, count=COUNT, size=10):
    paths = [b"%02d/%d" % (at % 20, at) for at in range(count)]
    for path in paths:
        put(shelf.root, path, os.urandom(size), mtime_ns=OLD_NS)
    return paths


class Meddling:
    """A target that does something else first when a certain row is written."""

    def __init__(self, store, row, what):
        self._store, self._row, self._what = store, row, what

    def write(self, path, row, content, seen):
        if row == self._row:
            self._what()
        return self._store.write(path, row, content, seen)

    def __getattr__(self, name):
        return getattr(self._store, name)


class Noting(Meddling):
    """A target that notes which directories are finished, when they are."""

    def __init__(self, store):
        super().__init__(store, -1, None)
        self.finished: list[bytes] = []

    def finish_dir(self, path, seen):
        self.finished.append(path)
        return self._store.finish_dir(path, seen)


def raising(error):
    def fail():
        raise error

    return fail


def threads():
    return sum(thread.name.startswith("entry") for thread in threading.enumerate())


def test_every_row_has_its_outcome_in_its_order(attempt, shelves):
    paths = files_in(shelves[0])
    missing = action_of(attempt.source.look(paths[0]).entry, verb=Verb.COPY)
    rows = rows_for(attempt, paths)
    rows.insert(50, missing._replace(path=b"gone"))
    outcomes = list(perform_many(attempt, rows, 16))
    assert outcomes.pop(50).status is Status.VANISHED
    assert [outcome.entry and outcome.entry.path for outcome in outcomes] == paths
    assert {outcome.status for outcome in outcomes} == {Status.COPIED}
    assert attempt.moved == COUNT * 10


@pytest.mark.parametrize("at", [0, 60, COUNT - 1])
def test_a_fatal_error_ends_the_shard_by_its_own_name(attempt, shelves, at):
    rows = rows_for(attempt, files_in(shelves[0]))
    error = FatalError("the target is full")
    before = open_descriptors()
    attempt.target = Meddling(attempt.target, at, raising(error))
    with pytest.raises(FatalError, match="full"):
        list(perform_many(attempt, rows, 8))
    assert threads() == 0
    assert open_descriptors() <= before + 2 * 64  # directories that are kept open
    made = sum(len(names) for _, _, names in os.walk(shelves[1].root))
    assert made <= at + AHEAD


def test_a_full_disk_is_fatal_and_names_the_entry(attempt, shelves):
    rows = rows_for(attempt, files_in(shelves[0]))
    attempt.target = Meddling(attempt.target, 5, raising(OSError(28, "No space left")))
    with pytest.raises(FatalError, match=r"05/5: copy: No space left .errno 28."):
        list(perform_many(attempt, rows, 8))


def test_what_nobody_foresaw_is_raised_as_it_is(attempt, shelves):
    rows = rows_for(attempt, files_in(shelves[0]))
    attempt.target = Meddling(attempt.target, 30, raising(ZeroDivisionError("bug")))
    with pytest.raises(ZeroDivisionError, match="bug"):
        list(perform_many(attempt, rows, 8))
    assert threads() == 0


def test_what_only_one_entry_suffers_from_is_its_outcome(attempt, shelves):
    rows = rows_for(attempt, files_in(shelves[0]))
    attempt.target = Meddling(attempt.target, 30, raising(TransientError("busy")))
    outcomes = list(perform_many(attempt, rows, 8))
    assert (outcomes[30].status, outcomes[30].reason) == (Status.FAILED, "busy")
    assert {o.status for o in outcomes[:30] + outcomes[31:]} == {Status.COPIED}


def test_cancelling_ends_the_shard_soon(attempt, shelves):
    rows = rows_for(attempt, files_in(shelves[0]))
    stop = threading.Event()
    attempt.cancelled = stop.is_set
    attempt.target = Meddling(attempt.target, 20, stop.set)
    with pytest.raises(CancelledError, match="on request"):
        list(perform_many(attempt, rows, 8))
    made = sum(len(names) for _, _, names in os.walk(shelves[1].root))
    assert made <= 20 + AHEAD
    assert threads() == 0


def test_whoever_stops_reading_stops_the_entries(attempt, shelves):
    outcomes = perform_many(attempt, rows_for(attempt, files_in(shelves[0])), 2)
    with closing(cast("Generator[Outcome]", outcomes)):
        next(outcomes)
    assert threads() == 0
    made = sum(len(names) for _, _, names in os.walk(shelves[1].root))
    assert made <= 5 * 8  # five handfuls may have been given out


def test_a_fatal_error_ends_a_large_entry_that_is_under_way(shelves):
    source, target = shelves
    with open(source.root / "large", "wb") as file:
        file.truncate(60 * PART)
    put(source.root, b"small", b"x")
    with carrying(source.open(), target.open(), room_bytes=2 * PART) as attempt:
        rows = rows_for(attempt, [b"large", b"small"])

        def fail():
            while not attempt.moved:  # the large one has begun
                time.sleep(0.001)
            raise FatalError("no more")

        attempt.target = Meddling(attempt.target, 1, fail)
        with pytest.raises(FatalError, match="no more"):
            list(perform_many(attempt, rows, 4))
        assert attempt.moved < 60 * PART
    assert list(target.root.iterdir()) == []


def test_many_large_and_small_entries_share_little_room(shelves, monkeypatch):
    monkeypatch.setattr("haulage.place._SMALLEST_PART", 1 << 16)
    source, target = shelves
    paths = files_in(source, 40, size=1 << 18) + [b"s%d" % at for at in range(40)]
    for path in paths[40:]:
        put(source.root, path, os.urandom(1 << 15))
    paths.sort(key=lambda path: path[-1:])
    with carrying(source.open(), target.open(), room_bytes=1 << 17) as attempt:
        outcomes = list(perform_many(attempt, rows_for(attempt, paths), 32))
    assert {outcome.status for outcome in outcomes} == {Status.COPIED}
    for path in paths:
        name = os.fsdecode(path)
        assert (source.root / name).read_bytes() == (target.root / name).read_bytes()


def test_directories_are_finished_one_after_the_other(attempt, shelves):
    for at in range(30):
        put(shelves[0].root, b"d/%d/f" % at, mtime_ns=OLD_NS)
    paths = [b"d/%d/" % at for at in range(30)] + [b"d/"]
    rows = rows_for(attempt, paths, Verb.DIR)
    assert {row.kind for row in rows} == {Kind.DIR}
    for at, row in enumerate(rows):
        attempt.target.make_dir(row.path, at)
    attempt.target = Noting(attempt.target)
    outcomes = list(perform_many(attempt, rows, 16))
    assert attempt.target.finished == paths
    assert {outcome.status for outcome in outcomes} == {Status.UPDATED}


def test_the_rows_of_a_published_file_are_done_at_once(attempt, shelves):
    content = os.urandom(MIB) * 20
    put(shelves[0].root, b"large", content, mtime_ns=OLD_NS)
    (row,) = rows_for(attempt, [b"large"], Verb.PART)
    ends = [(0, PART), (PART, 4 * MIB)]
    parts = [row._replace(offset=at, length=length) for at, length in ends]
    made = list(perform_many(attempt, parts, 4))
    assert [outcome.status for outcome in made] == [Status.PART, Status.PART]
    rows = [part._replace(verb=Verb.PUBLISH) for part in parts]
    outcomes = list(perform_many(attempt, rows, 4))
    assert [outcome.status for outcome in outcomes] == [Status.PART, Status.COPIED]
    assert (shelves[1].root / "large").read_bytes() == content
