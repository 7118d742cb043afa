"""Which name of a linked file is acted on, and which follow it, in any tables."""

import random

import pyarrow as pa
import pytest

from haulage.disksort import DiskSort
from haulage.exchange.shard_files import read_outcomes, write_outcomes
from haulage.model import ACTION, Action, Outcome, Status, Verb, Verified
from haulage.planning.link_rows import LINKS, Rank
from haulage.run.links.election import MEMBER, elect, with_key
from haulage.run.links.members import JOINED, as_members, as_outcomes, joined
from tests.engine_builders import checksum_of, entry

SUM = checksum_of(b"content")


def row(path, rank, ino=5, was=None, verb=0, **fields):
    """Return a listed name; `was` is the inode that it was known by."""
    action = Action(
        verb, *entry(path, ino=ino, nlink=2), SUM, 2, False, None, 0, 0, 0, 10
    )
    was = was or (0 if rank == Rank.NEW else ino)
    known = {"was_dev": 7, "was_ino": was, "rank": rank}
    return action._asdict() | known | fields


def unchanged(path, **fields):
    return row(path, Rank.UNCHANGED, **fields)


def changed(path, verb=Verb.CHECK, **fields):
    return row(path, Rank.CHANGED, verb=verb, **fields)


def new(path, **fields):
    return row(path, Rank.NEW, verb=Verb.COPY, **fields)


def gone(path, **fields):
    return row(path, Rank.GONE, verb=Verb.DELETE, **fields)


def elected(tmp_path, rows, batch=1000):
    """Return each leader's verb, shared and leaving, and each member's leader."""
    sort = DiskSort(tmp_path, with_key(LINKS.empty_table()).schema, "key")
    sort.add(with_key(pa.Table.from_pylist(rows, schema=LINKS)))
    leaders, members = {}, {}
    tables = [
        table.slice(at, batch)
        for table in sort.tables()
        for at in range(0, table.num_rows, batch)
    ]
    for found in elect(tables):
        for one in found.leaders.to_pylist():
            leaders[one["path"]] = (one["verb"], one["shared"], one["leaving"])
        for one in found.members.to_pylist():
            assert one["verb"] == Verb.HARD
            members[one["path"]] = one["leader"]
    return leaders, members


@pytest.mark.parametrize("batch", [1, 2, 1000])
@pytest.mark.parametrize(
    ("rows", "leaders", "members"),
    [
        ([unchanged(b"a"), unchanged(b"b")], {}, {}),
        ([new(b"a"), new(b"b")], {b"a": (Verb.COPY, 1, 0)}, {b"b": b"a"}),
        ([unchanged(b"b"), new(b"a")], {}, {b"a": b"b"}),
        ([unchanged(b"a"), unchanged(b"b"), new(b"c")], {}, {b"c": b"a"}),
        (
            [changed(b"a"), changed(b"b"), new(b"0")],
            {b"a": (Verb.CHECK, 2, 0)},
            {b"b": b"a", b"0": b"a"},
        ),
        (
            [changed(b"b"), changed(b"c"), gone(b"a")],
            {b"b": (Verb.CHECK, 2, 1)},
            {b"c": b"b"},
        ),
        ([changed(b"b"), gone(b"a")], {b"b": (Verb.CHECK, 1, 1)}, {}),
        ([gone(b"a"), gone(b"b")], {}, {}),
        ([unchanged(b"a"), unchanged(b"b", was=6)], {}, {b"b": b"a"}),
        (
            [changed(b"a"), changed(b"b", was=6)],
            {b"a": (Verb.CHECK, 1, 0)},
            {b"b": b"a"},
        ),
        (
            [changed(b"a", ino=9, was=5), changed(b"b"), gone(b"c")],
            {b"a": (Verb.CHECK, 1, 0), b"b": (Verb.CHECK, 1, 1)},
            {},
        ),
    ],
)
def test_a_leader_is_elected_and_the_others_follow(
    tmp_path, rows, leaders, members, batch
):
    assert elected(tmp_path, rows, batch) == (leaders, members)


def test_the_size_of_the_tables_does_not_matter(tmp_path):
    dice = random.Random(1)
    makers = [unchanged, changed, new, gone]
    rows = [
        dice.choice(makers)(b"%03d" % number, ino=dice.randrange(200))
        for number in range(400)
    ]
    whole = elected(tmp_path, rows)
    assert len(whole[0]) > 10
    for batch in (1, 3, 7, 64):
        assert elected(tmp_path, rows, batch) == whole


def members_of(leader, *paths, awaits=True):
    rows = [
        row(path, 0, verb=Verb.HARD, leader=leader, awaits=awaits) for path in paths
    ]
    return pa.Table.from_pylist(
        [{name: row[name] for name in MEMBER.names} for row in rows], schema=MEMBER
    )


def outcomes_of(tmp_path, *found):
    """Return the outcomes of leaders, given as path and outcome."""
    rows = [row(path, 0, verb=Verb.COPY) for path, _ in found]
    actions = pa.Table.from_pylist(
        [{name: row[name] for name in ACTION.names} for row in rows], schema=ACTION
    )
    write_outcomes(tmp_path / "out", actions, [outcome for _, outcome in found])
    return read_outcomes(tmp_path / "out")


def brought_together(tmp_path, members, *outcomes):
    sort = DiskSort(tmp_path / "sort", JOINED, "key", run_rows=2)
    for table in members:
        sort.add(as_members(table))
    for order, table in enumerate(outcomes):
        sort.add(as_outcomes(table, order))
    return {
        found["path"]: found
        for table in joined(sort.tables())
        for found in table.to_pylist()
    }


def test_members_get_the_entry_and_the_proof_of_what_became_of_their_leader(tmp_path):
    other = checksum_of(b"other")
    seen = entry(b"a", nlink=2, size=77, mtime_s=1_600_000_000)
    copied = outcomes_of(tmp_path, (b"a", Outcome(Status.COPIED, other, entry=seen)))
    proven = outcomes_of(
        tmp_path,
        (b"a", Outcome(Status.VERIFIED, other, Verified.CHECKSUM, entry=seen)),
    )
    members = [members_of(b"a", b"m", b"n"), members_of(b"b", b"x", awaits=False)]
    found = brought_together(tmp_path, members, copied, proven)
    assert set(found) == {b"m", b"n", b"x"}
    for path in (b"m", b"n"):
        assert found[path]["leader"] == b"a"
        assert (found[path]["size"], found[path]["checksum"]) == (77, other)
        assert found[path]["verified"] == Verified.CHECKSUM
    assert (found[b"x"]["leader"], found[b"x"]["checksum"]) == (b"b", SUM)


@pytest.mark.parametrize(
    "last", [Status.FAILED, Status.MISMATCH, Status.UNSTABLE, None]
)
def test_members_of_a_leader_that_was_not_made_have_none(tmp_path, last):
    outcomes = [outcomes_of(tmp_path, (b"aa", Outcome(Status.COPIED, SUM)))]
    if last is not None:
        outcomes.append(outcomes_of(tmp_path, (b"a", Outcome(Status.COPIED, SUM))))
        outcomes.append(outcomes_of(tmp_path, (b"a", Outcome(last, reason="no"))))
    found = brought_together(tmp_path, [members_of(b"a", b"m")], *outcomes)
    assert found[b"m"]["leader"] is None
