import errno
import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from haulage.model import ENTRY, MANIFEST, SELECTED, Kind
from haulage.planning.changed_fields import Against, Field
from haulage.planning.listing.selection import Selection
from haulage.planning.match_listing import compare
from haulage.storage.tree.listing.walk import Unreadable
from tests.engine_builders import entry, listed, paths_of, recorded


def against(*known: pa.Table, **fields) -> Against:
    everything = {"covers": lambda gone: np.ones(gone.num_rows, np.bool_)}
    return Against(known=known, **(everything | fields))


def changed_fields(now, was, recorded_as=None, **fields) -> Field:
    """Return the aspects of one entry; NOTHING if it is not told as changed."""
    known = recorded(was, **(recorded_as or {}))
    pages = list(compare([listed(now)], against(known, **fields)))
    found = [Field(int(a)) for page in pages for a in page.fields]
    assert sum(page.new.num_rows + page.gone.num_rows for page in pages) == 0
    return found[0] if found else Field.NOTHING


FILE = entry(b"f")
DIR = entry(b"d/")
LINK = entry(b"l", kind=Kind.SYMLINK, target=b"to")


@pytest.mark.parametrize("same", [FILE, DIR, LINK])
def test_what_is_as_it_was_is_not_told(same):
    assert changed_fields(same, same) == Field.NOTHING


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("kind", Kind.SYMLINK, Field.KIND | Field.SIZE),
        ("size", 11, Field.SIZE),
        ("mtime_s", 0, Field.TIME),
        ("mtime_ns", 0, Field.TIME),
        ("ctime_s", 0, Field.CTIME),
        ("ctime_ns", 0, Field.CTIME),
        ("ino", 2**64 - 1, Field.INODE),
        ("mode", 0o4644, Field.ACCESS),
        ("uid", 0, Field.ACCESS),
        ("gid", 0, Field.ACCESS),
        ("dev", 99, Field.NOTHING),
        ("nlink", 2, Field.NOTHING),
    ],
)
def test_each_column_of_a_file_that_differs_is_its_own_field(column, value, field):
    was = FILE._replace(**{column: value})
    found = changed_fields(FILE, was)
    assert found == (Field.KIND if column == "kind" else field)


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"target": b"else"}, Field.TARGET),
        ({"target": None}, Field.TARGET),
        ({"mtime_s": 1}, Field.TIME),
        ({"uid": 1}, Field.ACCESS),
        ({"mode": 0o700}, Field.NOTHING),
        ({"ctime_s": 1}, Field.CTIME),
        ({"ino": 1, "size": 1}, Field.NOTHING),
    ],
)
def test_of_a_link_only_what_can_be_set_counts(columns, field):
    assert changed_fields(LINK, LINK._replace(**columns)) == field


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"mode": 0o700}, Field.ACCESS),
        ({"gid": 1}, Field.ACCESS),
        ({"mtime_ns": 1}, Field.TIME),
        ({"ctime_s": 1}, Field.CTIME),
        ({"size": 1, "ino": 1, "nlink": 9}, Field.NOTHING),
    ],
)
def test_of_a_directory_only_what_can_be_set_counts(columns, field):
    assert changed_fields(DIR, DIR._replace(**columns)) == field


def test_what_is_racily_clean_or_in_doubt_is_told_though_nothing_differs():
    assert changed_fields(FILE, FILE, {"racy": True}) == Field.RACY
    assert changed_fields(DIR, DIR, {"racy": True}) == Field.RACY


def test_a_file_that_is_proven_less_than_wanted_is_told():
    assert changed_fields(FILE, FILE, {"verified": 1}, proof=2) == Field.UNPROVEN
    assert changed_fields(FILE, FILE, {"verified": 2}, proof=2) == Field.NOTHING
    assert changed_fields(FILE, FILE, {"verified": 2}, proof=1) == Field.NOTHING
    assert changed_fields(LINK, LINK, {"verified": 0}, proof=2) == Field.NOTHING


def test_asking_for_every_file_tells_files_alone():
    assert changed_fields(FILE, FILE, asked=(Kind.FILE,)) == Field.ASKED
    assert changed_fields(DIR, DIR, asked=(Kind.FILE,)) == Field.NOTHING


def test_what_was_found_in_the_target_is_adopted_whatever_its_inode():
    was = FILE._replace(ino=1, ctime_s=1, ctime_ns=1)
    assert changed_fields(FILE, was, adopted=True) == Field.ADOPTED
    assert changed_fields(DIR, DIR, adopted=True) == Field.ADOPTED
    longer = changed_fields(FILE, was._replace(size=1), adopted=True)
    assert longer == Field.ADOPTED | Field.SIZE


def test_what_else_is_in_an_adopted_target_is_never_gone():
    pages = compare([listed(FILE)], against(recorded(DIR, FILE), adopted=True))
    assert sum(page.gone.num_rows for page in pages) == 0


def gone_of(pieces, *known: pa.Table, **fields) -> list[bytes]:
    pages = compare(pieces, against(*known, **fields))
    return [path for page in pages for path in paths_of(page.gone)]


PATHS = [b"", b"a", b"a/", b"a/x", b"a/y/", b"a/y/z", b"a0", b"b"]
KNOWN = recorded(*(entry(path) for path in PATHS))


def test_what_is_known_and_not_listed_is_gone():
    assert gone_of([listed(entry(b""), entry(b"a0"))], KNOWN) == [
        path for path in PATHS if path not in (b"", b"a0")
    ]


def test_what_is_below_an_unreadable_directory_is_not_gone():
    lost = Unreadable(b"a/", errno.EACCES)
    pieces = [listed(entry(b""), entry(b"a/")), lost, listed(entry(b"b"))]
    assert gone_of(pieces, KNOWN) == [b"a", b"a0"]


def test_a_path_whose_stat_failed_is_not_gone_with_what_was_below_it():
    pieces = [Unreadable(b"a", errno.EIO), listed(entry(b""), entry(b"b"))]
    assert gone_of(pieces, KNOWN) == [b"a0"]


def test_nothing_is_gone_when_the_root_could_not_be_read():
    pieces = [Unreadable(b"", errno.EIO), listed(entry(b""))]
    assert gone_of(pieces, KNOWN) == []


def test_what_is_below_a_directory_that_was_left_out_is_neither_gone_nor_a_failure():
    mount = Unreadable(b"a/", errno.EXDEV, left_out=True)
    pieces = [mount, listed(entry(b""), entry(b"a/")), listed(entry(b"b"))]
    assert gone_of(pieces, KNOWN) == [b"a", b"a0"]
    assert not [page for page in compare(pieces, against(KNOWN)) if page.unreadable]


def test_unreadable_paths_are_told_once():
    lost = [Unreadable(b"a", 5), Unreadable(b"b", 13), Unreadable(b"c", 5)]
    pieces = [lost[0], listed(entry(b"")), lost[1], listed(entry(b"b")), lost[2]]
    pages = list(compare(pieces, against(KNOWN)))
    assert [told for page in pages for told in page.unreadable] == lost


def test_what_the_rules_hide_now_is_not_gone():
    selection = Selection(rules=("- /a/",))
    known = recorded(entry(b"a/"), entry(b"a/x"), entry(b"small"))
    assert gone_of([], known, covers=selection.still_covers) == [b"small"]


def test_what_takes_no_part_is_neither_gone_nor_changed_nor_new():
    now = [entry(b"big", size=11), entry(b"new"), entry(b"small", size=2)]
    page = listed(*now).append_column(SELECTED, pa.array([False, False, True]))
    known = recorded(entry(b"big", size=10), entry(b"small", size=1))
    found, rest = compare([page], against(known))
    assert paths_of(found.changed) == [b"small"]
    assert found.listed == 1
    assert found.new.num_rows == found.gone.num_rows == rest.gone.num_rows == 0


# ------------------------------------------------------- against a naive model


def random_entry(rng: random.Random, path: bytes):
    kind = Kind.DIR if path.endswith(b"/") else rng.choice([Kind.FILE, Kind.SYMLINK])
    return entry(
        path,
        kind=kind,
        size=rng.randint(0, 1),
        mode=rng.choice([0o600, 0o644]),
        mtime_ns=rng.randint(0, 1),
        ino=rng.randint(0, 1),
        target=rng.choice([b"t", b"u"]) if kind == Kind.SYMLINK else None,
    )


def random_tables(rng: random.Random, schema: pa.Schema) -> tuple[dict, list[pa.Table]]:
    """Return entries by path, and tables of them cut anywhere, some of them empty."""
    pool = [b"%c%c" % (x, y) for x in b"ab\xff" for y in b"-./0z"]
    chosen = sorted(rng.sample(pool, rng.randint(0, len(pool))))
    entries = {path: random_entry(rng, path) for path in chosen}
    build = listed if schema is ENTRY else recorded
    cuts = sorted(rng.choices(range(len(chosen) + 1), k=rng.randint(0, 6)))
    tables = [
        build(*(entries[path] for path in chosen[start:end]))
        for start, end in zip([0, *cuts], [*cuts, len(chosen)], strict=True)
    ]
    return entries, tables


def is_changed(now, was) -> bool:
    fields = {
        Kind.FILE: ("kind", "size", "mode", "mtime_ns", "ino"),
        Kind.DIR: ("kind", "mode", "mtime_ns"),
        Kind.SYMLINK: ("kind", "mtime_ns", "target"),
    }[now.kind]
    return any(getattr(now, name) != getattr(was, name) for name in fields)


@pytest.mark.parametrize("seed", range(100))
def test_pages_of_any_alignment_tell_what_a_dictionary_tells(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(
        "haulage.planning.match_listing._WINDOW_ROWS", rng.choice([1, 3, 100])
    )
    now, pieces = random_tables(rng, ENTRY)
    was, known = random_tables(rng, MANIFEST)
    pages = list(compare(pieces, against(*known)))
    new = [path for page in pages for path in paths_of(page.new)]
    changed = [path for page in pages for path in paths_of(page.changed)]
    assert new == sorted(now.keys() - was.keys())
    assert sorted(p for page in pages for p in paths_of(page.gone)) == sorted(
        was.keys() - now.keys()
    )
    assert changed == sorted(
        path for path in now.keys() & was.keys() if is_changed(now[path], was[path])
    )
    for page in pages:
        assert paths_of(page.was) == paths_of(page.changed)
        assert len(page.fields) == page.changed.num_rows
        assert page.was["size"].to_pylist() == [
            was[path].size for path in paths_of(page.changed)
        ]
        assert pc.all(pc.less_equal(page.new["path"], page.last)).as_py() is not False
    assert sum(page.listed for page in pages) == len(now)


def test_the_last_path_of_each_page_never_goes_back():
    pieces = [listed(entry(b"a"), entry(b"c")), listed(entry(b"d"))]
    known = [recorded(entry(b"b")), recorded(entry(b"e")), recorded(entry(b"f"))]
    lasts = [page.last for page in compare(pieces, against(*known))]
    assert lasts == sorted(lasts)


def test_however_many_are_gone_they_are_told_some_at_a_time(monkeypatch):
    monkeypatch.setattr("haulage.planning.match_listing._WINDOW_ROWS", 20)
    names = [b"%03d" % number for number in range(100)]
    known = [recorded(*map(entry, names[at : at + 10])) for at in range(0, 100, 10)]
    pieces = [listed(entry(b"000"), entry(b"050"), entry(b"099"))]
    pages = list(compare(pieces, against(*known)))
    assert [page.gone.num_rows for page in pages] == [19, 20, 19, 20, 19, 0]
    assert [page.listed for page in pages] == [1, 0, 1, 0, 1, 0]
    lasts = [b"019", b"039", b"059", b"079", b"099", b"099"]
    assert [page.last for page in pages] == lasts


def test_the_last_path_is_kept_when_nothing_is_known_behind_it():
    pages = list(compare([listed(entry(b"a"), entry(b"c"))], against()))
    assert [page.last for page in pages][-1] == b"c"
