import random
from collections.abc import Iterator

import pyarrow as pa
import pytest

from haulage.model import MANIFEST, OUTCOME, Status, Verb
from haulage.planning.merge import PATHS, Besides, Stream, among, merge
from tests.engine_builders import entry, paths_of, recorded

HOLDS = {
    Status.COPIED,
    Status.MADE,
    Status.UPDATED,
    Status.UNCHANGED,
    Status.VERIFIED,
}
GONE = {Status.DELETED, Status.REPLACED, Status.ABSENT, Status.MISMATCH}


def outcome(path: bytes, status: Status, verb: Verb = Verb.COPY, **fields) -> dict:
    more = {"checksum": None, "verified": 0, "racy": False, "offset": 0, "length": 0}
    more |= {"moved": 0, "errno": 0, "reason": None}
    return entry(path)._asdict() | more | {"verb": verb, "status": status} | fields


def overlay(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=OUTCOME)


@pytest.mark.parametrize("status", list(Status))
def test_each_status_puts_or_removes_or_leaves_the_entry(status):
    base = recorded(entry(b"x", size=1))
    merged = merge(base, [overlay(outcome(b"x", status, size=2))])
    sizes = merged.entries["size"].to_pylist()
    if status in HOLDS:
        assert sizes == [2]
    elif status in GONE:
        assert sizes == []
    else:
        assert sizes == [1]
    assert merged.entries.schema == MANIFEST


def in_doubt(merged) -> dict[bytes, bool]:
    names = merged.entries.select(["path", "racy"]).to_pydict()
    return dict(zip(names["path"], names["racy"], strict=True))


def test_a_directory_that_was_only_made_is_ours_and_waits_for_its_attributes():
    made = overlay(outcome(b"d/", Status.MADE, Verb.MKDIR))
    failed = overlay(outcome(b"d/", Status.FAILED, Verb.DIR))
    finished = overlay(outcome(b"d/", Status.UPDATED, Verb.DIR, mode=0o750))
    nothing = MANIFEST.empty_table()
    assert in_doubt(merge(nothing, [made])) == {b"d/": True}
    assert in_doubt(merge(nothing, [made, failed])) == {b"d/": True}
    both = merge(nothing, [made, finished])
    assert in_doubt(both) == {b"d/": False}
    assert both.entries["mode"].to_pylist() == [0o750]


@pytest.mark.parametrize(
    "status", [Status.FAILED, Status.UNSTABLE, Status.VANISHED, Status.BLOCKED]
)
def test_what_failed_is_in_doubt_until_it_succeeds(status):
    base = recorded(entry(b"x"), entry(b"y"))
    failed = overlay(outcome(b"x", status))
    again = overlay(outcome(b"x", Status.UPDATED, Verb.META))
    assert in_doubt(merge(base, [failed])) == {b"x": True, b"y": False}
    assert in_doubt(merge(base, [failed, again])) == {b"x": False, b"y": False}
    assert in_doubt(merge(base, [again, failed])) == {b"x": True, b"y": False}


def test_a_directory_that_was_touched_and_not_finished_is_in_doubt():
    base = recorded(entry(b"d/"), entry(b"e/"))
    touched = Besides(touched=base.select(["path"]))
    finished = overlay(outcome(b"e/", Status.UPDATED, Verb.DIR))
    assert in_doubt(merge(base, [finished], touched)) == {b"d/": True, b"e/": False}


def test_a_later_pass_wins_and_a_failure_leaves_what_was_before():
    base = recorded(entry(b"x", size=1))
    copied = overlay(outcome(b"x", Status.COPIED, size=2))
    failed = overlay(outcome(b"x", Status.FAILED, size=3))
    wrong = overlay(outcome(b"x", Status.MISMATCH, size=2))
    again = overlay(outcome(b"x", Status.COPIED, size=4))
    assert merge(base, [copied, failed]).entries["size"].to_pylist() == [2]
    assert merge(base, [copied, wrong]).entries.num_rows == 0
    assert merge(base, [copied, wrong, again]).entries["size"].to_pylist() == [4]
    assert merge(base, [failed]).last_outcomes["status"].to_pylist() == [Status.FAILED]


def test_each_path_has_its_last_outcome_once():
    first = overlay(outcome(b"a", Status.UNSTABLE), outcome(b"b", Status.COPIED))
    second = overlay(outcome(b"a", Status.COPIED))
    last = merge(MANIFEST.empty_table(), [first, second]).last_outcomes
    assert paths_of(last) == [b"a", b"b"]
    assert last["status"].to_pylist() == [Status.COPIED, Status.COPIED]
    assert last.schema.names == OUTCOME.names


def test_without_outcomes_the_entries_stay():
    base = recorded(entry(b"a"), entry(b"b"))
    merged = merge(base, [OUTCOME.empty_table()])
    assert merged.entries.equals(base)
    assert merged.last_outcomes.num_rows == 0


@pytest.mark.parametrize("seed", range(60))
def test_random_overlays_merge_as_a_dictionary_does(seed):
    rng = random.Random(seed)
    pool = [
        b"%c%c" % pair
        for pair in zip(b"aab\xff\xffz" * 3, b"-/.0\xffa" * 3, strict=True)
    ]
    pool = sorted(set(pool))

    def some():
        return sorted(rng.sample(pool, rng.randint(0, len(pool))))

    model = dict.fromkeys(some(), 0)
    base = recorded(*(entry(path, size=0) for path in model))
    last: dict[bytes, int] = {}
    overlays = []
    for number in range(1, rng.randint(2, 6)):
        rows = []
        for path in some():
            status, verb = rng.choice(list(Status)), rng.choice([Verb.COPY, Verb.MKDIR])
            rows.append(outcome(path, status, verb, size=number))
            if status != Status.PART:
                last[path] = number
            if status in HOLDS:
                model[path] = number
            elif status in GONE and verb != Verb.MKDIR:
                model.pop(path, None)
        overlays.append(overlay(*rows))
    merged = merge(base, overlays)
    entries, told = merged.entries, merged.last_outcomes
    wanted = sorted(model.items())
    found = zip(paths_of(entries), entries["size"].to_pylist(), strict=True)
    assert list(found) == wanted
    found = zip(paths_of(told), told["size"].to_pylist(), strict=True)
    assert list(found) == sorted(last.items())


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_taken_in_any_windows_gives_each_row_once(seed):
    rng = random.Random(seed)
    paths = sorted({b"%03d" % rng.randint(0, 200) for _ in range(60)})
    cuts = sorted(rng.choices(range(len(paths) + 1), k=5))
    tables = [
        recorded(*map(entry, paths[start:end]))
        for start, end in zip([0, *cuts], [*cuts, len(paths)], strict=True)
    ]
    stream, taken = Stream(tables), []
    for upto in [*sorted(b"%03d" % rng.randint(0, 200) for _ in range(7)), b"\xff"]:
        window = [path for table in stream.take(upto) for path in paths_of(table)]
        assert all(path <= upto for path in window)
        taken += window
        assert stream.next_last is None or stream.next_last > upto
    assert taken == paths
    assert stream.next_last is None


def test_rows_are_found_by_their_paths_however_both_are_cut():
    dice = random.Random(4)
    paths = [b"%03d" % number for number in range(200)]
    for _ in range(20):
        rows = recorded(*(entry(path) for path in sorted(dice.sample(paths, 90))))
        wanted = pa.table([sorted(dice.sample(paths, 60))], schema=PATHS)
        found = pa.concat_tables(among(cut(rows, dice), cut(wanted, dice)))
        both = set(paths_of(rows)) & set(paths_of(wanted))
        assert paths_of(found) == sorted(both)


def cut(table: pa.Table, dice: random.Random) -> Iterator[pa.Table]:
    """Yield the rows in pieces of any size."""
    while table.num_rows:
        size = dice.randint(1, 40)
        yield table.slice(0, size)
        table = table.slice(size)
