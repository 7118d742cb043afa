import numpy as np
import pyarrow as pa
import pytest

from haulage.exchange.shard_files import read_outcomes, write_outcomes
from haulage.model import ACTION, Action, Kind, Outcome, Status, Verb, Verified
from haulage.planning.actions import Intent, join_parts, on_paths, plan, prove, redo
from haulage.planning.changed_fields import Field
from haulage.planning.difference import Difference
from tests.engine_builders import (
    actions_table,
    checksum_of,
    entry,
    listed,
    paths_of,
    recorded,
)

SUM = checksum_of(b"content")
A = Field


def difference(new=(), changed=(), was=(), fields=(), gone=(), **proof) -> Difference:
    new, changed, was = listed(*new), listed(*changed), recorded(*was, **proof)
    return Difference(
        last=b"z",
        listed=10,
        new=new,
        changed=changed,
        was=was,
        fields=np.array(fields, np.uint16),
        gone=recorded(*gone),
        unreadable=(),
    )


def verb_for(fields: Field, intent: Intent, checksum: bytes | None) -> Verb | None:
    f = entry(b"f")
    made = plan(difference((), [f], [f], [fields], checksum=checksum), intent)
    verbs = made.actions["verb"].to_pylist()
    return Verb(verbs[0]) if verbs else None


@pytest.mark.parametrize(
    ("fields", "verb"),
    [
        (A.KIND, Verb.COPY),
        (A.SIZE, Verb.COPY),
        (A.SIZE | A.TIME | A.INODE | A.CTIME | A.ACCESS, Verb.COPY),
        (A.TIME, Verb.CHECK),
        (A.TIME | A.CTIME, Verb.CHECK),
        (A.TIME | A.CTIME | A.ACCESS, Verb.CHECK),
        (A.INODE, Verb.CHECK),
        (A.INODE | A.CTIME, Verb.CHECK),
        (A.INODE | A.ACCESS, Verb.CHECK),
        (A.CTIME, Verb.CHECK),
        (A.ACCESS, Verb.META),
        (A.ACCESS | A.CTIME, Verb.CHECK),
        (A.ACCESS | A.CTIME | A.RACY, Verb.CHECK),
        (A.RACY, Verb.CHECK),
        (A.UNPROVEN, Verb.VERIFY),
        (A.UNPROVEN | A.ACCESS, Verb.META),
        (A.UNPROVEN | A.TIME, Verb.CHECK),
        (A.ADOPTED, Verb.META),
        (A.ADOPTED | A.ACCESS, Verb.META),
        (A.ADOPTED | A.TIME, Verb.CHECK),
        (A.ADOPTED | A.SIZE, Verb.COPY),
    ],
)
def test_what_differs_of_a_file_with_a_known_checksum_decides_its_verb(fields, verb):
    assert verb_for(fields, Intent(), SUM) == verb


@pytest.mark.parametrize(
    ("fields", "verb"),
    [
        (A.UNPROVEN, Verb.CHECK),
        (A.UNPROVEN | A.ACCESS, Verb.CHECK),
        (A.ADOPTED, Verb.META),
        (A.ADOPTED | A.UNPROVEN, Verb.CHECK),
        (A.TIME, Verb.CHECK),
        (A.SIZE, Verb.COPY),
        (A.ACCESS, Verb.META),
    ],
)
def test_a_file_without_a_checksum_is_proven_against_the_source(fields, verb):
    assert verb_for(fields, Intent(proves_content=True), None) == verb


BY_SIZE = Intent(uncompared=A.TIME | A.INODE | A.CTIME | A.RACY)
BY_MTIME = Intent(uncompared=A.INODE | A.CTIME)


@pytest.mark.parametrize(
    ("fields", "intent", "verb"),
    [
        (A.SIZE | A.TIME, BY_SIZE, Verb.COPY),
        (A.KIND, BY_SIZE, Verb.COPY),
        (A.TIME | A.CTIME, BY_SIZE, None),
        (A.TIME | A.CTIME | A.ACCESS, BY_SIZE, None),
        (A.TIME | A.CTIME | A.UNPROVEN, BY_SIZE, None),
        (A.RACY, BY_SIZE, None),
        (A.ACCESS | A.CTIME, BY_SIZE, Verb.META),
        (A.ADOPTED | A.TIME, BY_SIZE, Verb.META),
        (A.ASKED | A.TIME | A.CTIME, BY_SIZE, Verb.META),
        (A.UNPROVEN, BY_SIZE, Verb.VERIFY),
        (A.UNPROVEN | A.INODE, BY_SIZE, Verb.VERIFY),
        (A.INODE | A.CTIME, BY_MTIME, None),
        (A.INODE | A.CTIME | A.ACCESS, BY_MTIME, Verb.META),
        (A.TIME | A.CTIME, BY_MTIME, Verb.CHECK),
        (A.RACY | A.INODE, BY_MTIME, Verb.CHECK),
        (A.SIZE | A.INODE, BY_MTIME, Verb.COPY),
    ],
)
def test_what_does_not_count_as_a_change_is_left_or_stays_in_doubt(
    fields, intent, verb
):
    f = entry(b"f")
    one = difference((), [f], [f], [fields], checksum=SUM)
    made = plan(one, intent)
    rows = made.actions.to_pylist()
    assert [row["verb"] for row in rows] == ([verb] if verb else [])
    assert made.skipped == 0, "skipped are special files alone"
    in_doubt = bool(fields & intent.uncompared)
    if verb in (Verb.META, Verb.VERIFY):
        assert rows[0]["racy"] == in_doubt


@pytest.mark.parametrize("fields", [A.ASKED, A.ASKED | A.ACCESS, A.ASKED | A.TIME])
def test_every_file_is_read_or_copied_where_the_policy_asks(fields):
    assert verb_for(fields, Intent(always_check=True), SUM) == Verb.CHECK
    assert verb_for(fields, Intent(always_copy=True), SUM) == Verb.COPY


def test_what_only_keys_imply_is_made_of_directories_alone():
    implied = entry(b"d/", kind=Kind.DIR, nlink=0)
    marked = implied._replace(path=b"e/", etag=b"e")
    made = plan(difference([implied, marked]), Intent(keyed=True))
    assert made.actions["path"].to_pylist() == [b"e/"]
    made = plan(difference([implied, marked]), Intent())
    assert made.actions["path"].to_pylist() == [b"d/", b"e/"]


@pytest.mark.parametrize(
    ("kind", "verb"),
    [(Kind.FILE, Verb.COPY), (Kind.DIR, Verb.MKDIR), (Kind.SYMLINK, Verb.LINK)],
)
def test_a_new_entry_gets_the_verb_of_its_kind(kind, verb):
    made = plan(difference([entry(b"x", kind=kind)]), Intent())
    assert made.actions["verb"].to_pylist() == [verb]
    assert made.actions["checksum"].to_pylist() == [None]
    assert made.unchanged == 9


@pytest.mark.parametrize("kind", [Kind.FIFO, Kind.SOCKET, Kind.CHAR, Kind.BLOCK])
def test_special_files_are_counted_and_left_alone(kind):
    special = entry(b"x", kind=kind)
    made = plan(difference([special], [special], [special], [A.KIND]), Intent())
    assert made.actions.num_rows == 0
    assert made.skipped == 2


@pytest.mark.parametrize(
    ("now", "verb"),
    [
        (entry(b"x", kind=Kind.SYMLINK, target=b"t"), Verb.LINK),
        (entry(b"x/"), Verb.MKDIR),
    ],
)
def test_what_differs_of_a_link_or_directory_makes_it_again(now, verb):
    for fields in (A.TIME, A.ACCESS, A.TARGET, A.KIND, A.ADOPTED):
        made = plan(difference((), [now], [now], [fields]), Intent())
        assert made.actions["verb"].to_pylist() == [verb]


def test_actions_are_in_canonical_order_with_what_is_known_of_each():
    was = entry(b"b", mtime_s=77, mtime_ns=7, size=5)
    now = entry(b"b", mtime_s=88, mtime_ns=8, size=5)
    made = plan(
        difference([entry(b"a"), entry(b"c/")], [now], [was], [A.TIME], checksum=SUM),
        Intent(),
    )
    assert paths_of(made.actions) == [b"a", b"b", b"c/"]
    row = made.actions.to_pylist()[1]
    assert (row["mtime_s"], row["mtime_ns"]) == (88, 8)
    assert (row["was_mtime_s"], row["was_mtime_ns"]) == (77, 7)
    assert (row["checksum"], row["verified"]) == (SUM, 2)
    assert (row["offset"], row["length"]) == (0, 5)


def test_what_is_gone_is_deleted_as_the_manifest_describes_it():
    gone = [entry(b"a", mtime_s=5, size=3), entry(b"b/")]
    deletes = plan(difference(gone=gone), Intent()).deletes
    assert deletes.schema == ACTION
    assert deletes["verb"].to_pylist() == [Verb.DELETE] * 2
    assert deletes["mtime_s"].to_pylist()[0] == 5
    assert paths_of(deletes) == [b"a", b"b/"]


def outcomes(tmp_path, *rows) -> pa.Table:
    write_outcomes(
        tmp_path / "o", actions_table(a for a, _ in rows), [o for _, o in rows]
    )
    return read_outcomes(tmp_path / "o")


def action(path, verb=Verb.COPY, **fields):
    more = {"verb": verb, "checksum": None, "verified": 0, "racy": False, "made": None}
    more |= {"was_mtime_s": 0, "was_mtime_ns": 0, "offset": 0, "length": 0}
    return Action(**(entry(path)._asdict() | more | fields))


def test_what_failed_is_made_again_from_scratch(tmp_path):
    failed = outcomes(
        tmp_path,
        (action(b"b", Verb.CHECK, checksum=SUM, size=9), Outcome(Status.UNSTABLE)),
        (action(b"a", Verb.PART, offset=4, length=4, size=9), Outcome(Status.MISMATCH)),
        (
            action(b"l", Verb.LINK, kind=Kind.SYMLINK, target=b"t"),
            Outcome(Status.FAILED),
        ),
    )
    again = redo(failed)
    assert paths_of(again) == [b"a", b"b", b"l"]
    assert again["verb"].to_pylist() == [Verb.COPY, Verb.COPY, Verb.LINK]
    assert again["checksum"].to_pylist() == [None] * 3
    assert again["offset"].to_pylist() == [0, 0, 0]
    assert again["length"].to_pylist() == [9, 9, 0]
    assert again["target"].to_pylist()[2] == b"t"


def test_what_takes_a_directorys_name_looks_again_each_time_it_is_made(tmp_path):
    blocked = outcomes(tmp_path, (action(b"a", Verb.REPLACE), Outcome(Status.BLOCKED)))
    assert redo(blocked)["verb"].to_pylist() == [Verb.REPLACE]


def test_what_was_made_is_proven_against_its_own_checksum(tmp_path):
    made = outcomes(tmp_path, (action(b"a"), Outcome(Status.COPIED, SUM, racy=True)))
    (row,) = prove(made).to_pylist()
    assert (row["verb"], row["checksum"], row["racy"]) == (Verb.VERIFY, SUM, True)


def test_parts_are_joined_with_their_ranges_and_checksums(tmp_path):
    parts = outcomes(
        tmp_path,
        (action(b"a", Verb.PART, offset=0, length=4), Outcome(Status.PART, SUM)),
        (action(b"a", Verb.PART, offset=4, length=6), Outcome(Status.PART, SUM)),
    )
    joined = join_parts(parts)
    assert joined["verb"].to_pylist() == [Verb.PUBLISH] * 2
    assert joined["offset"].to_pylist() == [0, 4]
    assert joined["length"].to_pylist() == [4, 6]
    assert joined["checksum"].to_pylist() == [SUM, SUM]


def test_actions_on_paths_alone_fill_every_column():
    paths = pa.array([b"b/", b"a/", b""], pa.binary())
    made = on_paths(paths, Verb.DIR, Kind.DIR)
    assert made.schema == ACTION
    assert paths_of(made) == [b"b/", b"a/", b""]
    assert made["kind"].to_pylist() == [Kind.DIR] * 3
    assert made["verified"].to_pylist() == [Verified.NONE] * 3
    assert on_paths(paths.slice(0, 0), Verb.DIR, Kind.DIR).num_rows == 0
