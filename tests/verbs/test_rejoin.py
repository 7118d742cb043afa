"""Which names that came from a bucket apart are linked, and to which."""

import os
import random

import pyarrow as pa
import pytest

from haulage.disksort import DiskSort
from haulage.model import MANIFEST, Action, Kind, Loss, Status, Verb, Verified
from haulage.run.links.rejoin_rules import KIN, as_kin, rejoined
from haulage.verbs.hard_link import hard
from tests.engine_builders import OLD_NS, checksum_of, entry, put, read
from tests.stores import carrying, files_shelf
from tests.verbs.ways import action_of

ONE, TWO = checksum_of(b"one"), checksum_of(b"two")
CONTENT = b"content"


def name(path, ino=5, *, racy=True, checksum=ONE, verified=2, **fields):
    """Return a name of an inode, which is not joined with the others yet."""
    proof = {"checksum": checksum, "verified": verified, "racy": racy, "made": None}
    return entry(path, **({"ino": ino, "nlink": 2} | fields))._asdict() | proof


def links(tmp_path, *rows, batch=1000):
    """Return the links of these names."""
    sort = DiskSort(tmp_path, KIN, "key")
    sort.add(as_kin(pa.Table.from_pylist(list(rows), schema=MANIFEST)))
    tables = [
        table.slice(at, batch)
        for table in sort.tables()
        for at in range(0, table.num_rows, batch)
    ]
    return [row for table in rejoined(tables) for row in table.to_pylist()]


def led(tmp_path, *rows, batch=1000):
    return {row["path"]: row["leader"] for row in links(tmp_path, *rows, batch=batch)}


def test_names_of_one_inode_follow_the_first_which_leads_itself(tmp_path):
    rows = [name(b"c"), name(b"a"), name(b"b", ino=6), name(b"d", ino=6)]
    wanted = {b"a": b"a", b"c": b"a", b"b": b"b", b"d": b"b"}
    assert led(tmp_path, *rows) == wanted


def test_one_that_is_joined_already_leads_and_nothing_is_done_about_it(tmp_path):
    rows = [name(b"a"), name(b"b", racy=False), name(b"c", racy=False)]
    assert led(tmp_path, *rows) == {b"a": b"b"}


def test_what_nobody_has_touched_stays_as_it_is(tmp_path):
    rows = [name(b"a", racy=False), name(b"b", racy=False), name(b"c", nlink=1)]
    assert led(tmp_path, *rows) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"checksum": TWO},
        {"size": 11},
        {"mtime_s": 1},
        {"mtime_ns": 1},
        {"mode": 0o600},
        {"uid": 1},
        {"gid": 1},
        {"dev": 8},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_name_that_differs_is_not_of_the_group(tmp_path, other):
    assert led(tmp_path, name(b"a"), name(b"b", **other)) == {b"a": b"a", b"b": b"b"}


def test_names_whose_content_is_not_known_stay_apart(tmp_path):
    rows = [name(b"a", checksum=None), name(b"b", checksum=None)]
    assert led(tmp_path, *rows) == {b"a": b"a", b"b": b"b"}


def test_only_files_are_joined(tmp_path):
    link = {"kind": Kind.SYMLINK, "target": b"x"}
    assert led(tmp_path, name(b"a", **link), name(b"b", **link)) == {}


def test_a_link_keeps_its_own_version_and_is_proven_as_its_leader_is(tmp_path):
    rows = [name(b"a", verified=1, etag=b"1"), name(b"b", etag=b"2", ctime_s=7)]
    lead, follows = links(tmp_path, *rows)
    assert (lead["verified"], follows["verified"]) == (1, 1)
    assert (follows["etag"], follows["ctime_s"]) == (b"2", 7)
    assert (follows["verb"], follows["racy"]) == (Verb.HARD, False)
    assert (follows["length"], follows["dev"], follows["ino"]) == (0, 7, 5)


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_a_group_of_any_size_has_one_leader_however_it_is_cut(tmp_path, batch):
    rows = [name(b"%04d" % number, ino=number % 3) for number in range(300)]
    random.Random(1).shuffle(rows)
    found = led(tmp_path, *rows, batch=batch)
    assert set(found.values()) == {b"0000", b"0001", b"0002"}
    assert len(found) == 300
    assert all(int(path) % 3 == int(to) for path, to in found.items())


class Bucket:
    """A source that is asked nothing: all is known of its objects."""

    has_directories = False

    def close(self):
        """Have nothing to close."""


@pytest.fixture
def target(tmp_path):
    """Give a directory that a bucket was copied to, with two names that are alike."""
    shelf = files_shelf(tmp_path)
    store = shelf.open()
    assert shelf.root
    for path in (b"lead/er", b"d/member"):
        put(shelf.root, path, CONTENT)
        os.utime(shelf.root / os.fsdecode(path), ns=(OLD_NS, OLD_NS))
    with carrying(Bucket(), store) as attempt:
        yield shelf.root, attempt


def member(**fields) -> Action:
    seconds, nanoseconds = divmod(OLD_NS, 1_000_000_000)
    times = {"mtime_s": seconds, "mtime_ns": nanoseconds, "size": len(CONTENT)}
    listed = entry(b"d/member", nlink=2, **times)
    known = {"leader": b"lead/er", "checksum": ONE, "verified": 2}
    return action_of(listed, **{**known, **fields})


def test_a_name_becomes_its_leader_and_doing_it_again_changes_nothing(target):
    root, attempt = target
    for status in (Status.MADE, Status.UNCHANGED):
        outcome = hard(attempt, member(), 0)
        assert (root / "d" / "member").samefile(root / "lead" / "er")
        assert outcome.status is status
        assert (outcome.checksum, outcome.verified) == (ONE, Verified.CHECKSUM)
        assert outcome.entry
        assert outcome.entry.target is None
        assert (outcome.racy, outcome.moved, outcome.lost) == (False, 0, None)
    assert (root / "lead" / "er").stat().st_nlink == 2
    assert os.listdir(root / "d") == ["member"]


def test_the_leader_leads_itself(target):
    _, attempt = target
    outcome = hard(attempt, member(path=b"lead/er"), 0)
    assert (outcome.status, outcome.racy) == (Status.UNCHANGED, False)


@pytest.mark.parametrize("edit", ["gone", "changed", "a directory"])
def test_with_what_is_not_what_was_made_no_name_is_joined(target, edit):
    root, attempt = target
    (root / "lead" / "er").unlink()
    if edit == "changed":
        (root / "lead" / "er").write_bytes(b"CONTENT")
    elif edit == "a directory":
        (root / "lead" / "er").mkdir()
    outcome = hard(attempt, member(), 0)
    assert_apart(root, outcome, "the target's lead/er, to which it would be linked")


def test_a_file_system_without_more_links_keeps_files_of_their_own(target, monkeypatch):
    root, attempt = target

    def no_more(*_args, **_more):
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", no_more)
    outcome = hard(attempt, member(), 0)
    assert_apart(root, outcome, "hard link to lead/er not kept: Too many links")


def assert_apart(root, outcome, words):
    assert (outcome.status, outcome.racy) == (Status.UNCHANGED, False)
    assert outcome.lost.kinds is Loss.LINK
    assert words in outcome.lost.words
    assert read(root, b"d/member") == CONTENT
    assert (root / "d" / "member").stat().st_nlink == 1
    assert os.listdir(root / "d") == ["member"]
