import errno
import os
import random
import subprocess
from functools import partial
from itertools import chain

import pyarrow as pa
import pytest

from haulage.model import ENTRY
from haulage.storage.tree.descent import Descent
from haulage.storage.tree.files import entry_of
from haulage.storage.tree.listing import names
from haulage.storage.tree.listing.walk import Given, Page, Span, Unreadable, Walk
from tests.engine_builders import as_nobody, in_child, paths_of
from tests.trees.build import plant
from tests.trees.walk import below, opened

ORDER = [
    b"", b"a", b"a-b", b"a.b", b"b-/", b"b-/x", b"b.c", b"b/", b"b/-", b"b/c/",
    b"b/c/d", b"b/c0", b"b/d", b"b0", b"c/", b"d/", b"d/e/", b"d/e/f/", b"d/e/f/g",
    b"\xc3\xa9", b"\xff/", b"\xff/\xff",
]  # fmt: skip


def grow(place, paths: list[bytes]) -> None:
    for path in paths:
        full = os.path.join(os.fsencode(place), path)
        if path.endswith(b"/"):
            os.makedirs(full, exist_ok=True)
        elif path:
            with open(full, "xb"):
                pass


@pytest.fixture
def small(place, descent):
    """Give a descent into a tree in which each border of the order occurs."""
    grow(place, ORDER)
    return descent


def canonical(place) -> list[bytes]:
    """Return every path of a tree, by an ordinary walk and an ordinary sort."""
    with opened(os.fsencode(place)) as fd:
        found = [(p + b"/" if i.st_mode >> 12 == 4 else p) for p, i in below(fd)]
    return sorted([b"", *found])


def tables(pieces) -> pa.Table:
    pages = [piece.entries for piece in pieces if isinstance(piece, Page)]
    return pa.concat_tables([ENTRY.empty_table(), *pages])


def whole(descent, **options) -> list[bytes]:
    return paths_of(tables(Walk(descent, Span(), **options).pieces()))


def test_a_listing_is_in_plain_byte_order(small):
    assert whole(small) == ORDER
    assert sorted(ORDER) == ORDER


def test_a_listing_of_a_nasty_tree_is_every_path_sorted(place, descent):
    plant(place / "t", seed=11, entries=800, specials=True)
    inner = Descent(str(place / "t"))
    assert whole(inner) == canonical(place / "t")
    inner.close()


def test_every_row_is_what_lstat_says_with_its_link_target(place):
    plant(place / "t", seed=12, entries=700)
    inner = Descent(str(place / "t"))
    rows = tables(Walk(inner, Span()).pieces()).to_pylist()
    inner.close()
    for row in rows:
        full = os.path.join(os.fsencode(place / "t"), row["path"])
        found = os.lstat(full.rstrip(b"/"))
        target = os.readlink(full) if row["kind"] == 3 else None
        assert row == entry_of(row["path"], found, target)._asdict()


def test_the_atime_of_each_row_stands_beside_its_page(place, descent):
    for number in range(3):
        (place / str(number)).touch()
        os.utime(place / str(number), (number * 1000, 5))
    (page,) = Walk(descent, Span()).pieces()
    assert isinstance(page, Page)
    assert page.atime_s[1:].tolist() == [0, 1000, 2000]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7])
def test_pages_of_any_size_concatenate_to_the_whole(place, small, rows):
    def listed():
        pieces = list(Walk(small, Span(), page_rows=rows).pieces())
        pages = [piece for piece in pieces if isinstance(piece, Page)]
        assert len(pages) == len(pieces)
        assert all(page.entries.num_rows <= rows for page in pages)
        return tables(pieces).to_pylist()

    # in a child, because what is written behind a page's rows may end the process
    assert in_child(listed) == tables(Walk(small, Span()).pieces()).to_pylist()


@pytest.mark.parametrize("rows", [2, 3])
def test_pages_of_links_keep_their_targets_over_borders(place, descent, rows):
    names = [f"l{number:02}" for number in range(20)]
    for name in names:
        (place / name).symlink_to("to-" + name)
    table = tables(Walk(descent, Span(), page_rows=rows).pieces())
    assert table["target"].to_pylist()[1:] == [b"to-" + n.encode() for n in names]


def test_a_listing_goes_on_behind_any_path(small):
    for after in [*ORDER, b"a-", b"b", b"d/e/e", b"zz", b"\0"]:
        pieces = Walk(small, Span(after=after), page_rows=3).pieces()
        assert paths_of(tables(pieces)) == [path for path in ORDER if path > after]


def test_a_span_lists_what_is_below_its_directory(small):
    for top in [path for path in ORDER if path.endswith(b"/")]:
        listed = paths_of(tables(Walk(small, Span(top)).pieces()))
        assert listed == [p for p in ORDER if p.startswith(top) and p != top]


def rope(descent, span: Span, hungry, **options) -> list[bytes]:
    """List a span, and each stretch that is given away where it belongs."""
    offered: dict[bytes | None, Span] = {}
    found: list[bytes] = []

    def offer(part: Span) -> None:
        assert part.start not in offered
        offered[part.start] = part

    walk = Walk(descent, span, hungry=hungry, offer=offer, page_rows=3, **options)
    for piece in walk.pieces():
        if isinstance(piece, Page):
            found += paths_of(piece.entries)
        elif isinstance(piece, Given):
            found += rope(descent, offered.pop(piece.start), hungry, **options)
    assert not offered, "what is given away and never asked for is listed in vain"
    return found


def test_stretches_that_are_given_away_concatenate_to_the_whole(small):
    assert rope(small, Span(), lambda: True) == ORDER


@pytest.mark.parametrize("seed", range(3))
def test_a_nasty_tree_is_whole_however_it_is_given_away(place, seed):
    rng = random.Random(seed)
    plant(place / "t", seed=seed, entries=200)
    inner = Descent(str(place / "t"))
    assert rope(inner, Span(), lambda: rng.random() < 0.4) == canonical(place / "t")
    inner.close()


def test_a_large_directory_of_files_alone_is_given_away_in_halves(place, descent):
    grow(place, [b"%05d" % number for number in range(6000)])
    offered: list[Span] = []
    walk = Walk(
        descent, Span(), hungry=lambda: True, offer=offered.append, page_rows=1000
    )
    list(walk.pieces())
    assert offered
    assert rope(descent, Span(), lambda: True) == canonical(place)


@pytest.mark.parametrize("share", [1, 0.8, 0.4])
def test_a_resumed_listing_gives_nothing_away_that_was_listed_before(small, share):
    rng = random.Random(1)
    for after in ORDER:
        rest = [path for path in ORDER if path > after]
        assert rope(small, Span(after=after), lambda: rng.random() < share) == rest


def test_what_is_given_away_is_of_the_shallowest_directory(small):
    offered: list[Span] = []
    asked = iter([True])
    walk = Walk(small, Span(), hungry=lambda: next(asked, False), offer=offered.append)
    list(walk.pieces())
    (span,) = offered
    assert span.path == b""
    assert span.end is None


def test_an_unreadable_directory_that_is_given_away_is_told_by_who_lists_it(commons):
    grow(commons, [b"a/", b"a/x", b"b/", b"b/x", b"c/", b"c/x"])
    os.chmod(commons / "b", 0)
    os.chmod(commons / "c", 0)

    def lost():
        descent, told, spans = Descent(str(commons)), [], [Span()]
        while spans:
            walk = Walk(descent, spans.pop(), hungry=lambda: True, offer=spans.append)
            told += [p.path for p in walk.pieces() if isinstance(p, Unreadable)]
        return told

    assert sorted(as_nobody(lost)) == [b"b/", b"c/"]


def test_very_many_names_are_sorted_in_a_spool_and_shared_out_as_any(
    place, descent, monkeypatch
):
    monkeypatch.setattr(names, "MOST_IN_MEMORY", 20)
    monkeypatch.setattr(names, "_AT_ONCE", 7)
    plant(place / "t", seed=14, entries=900)
    for number in range(400):
        (place / "t" / f"{number}").touch()
    spool = place / "spool"
    spool.mkdir()
    inner, spans, found = Descent(str(place / "t")), [Span()], []
    while spans:
        hungry = iter([False, True, *[False] * 10_000])
        walk = Walk(
            inner,
            spans.pop(),
            hungry=partial(next, hungry),
            offer=spans.append,
            page_rows=30,
            spool=spool,
        )
        found += paths_of(tables(walk.pieces()))
    inner.close()
    assert sorted(found) == canonical(place / "t")
    assert os.listdir(spool) == []
    with opened(os.fsencode(place / "t")) as fd:
        stored = names.sorted_names(fd, lambda some: some, spool)
        assert isinstance(stored, names.StoredNames)
        listed = [stored[at] for at in range(len(stored))]
        assert listed == sorted(chain.from_iterable(names.names_in(fd)))


def test_a_directory_that_is_not_kept_is_not_entered(place, small):
    asked: list[bytes] = []

    def keep(path: bytes) -> bool:
        asked.append(path)
        return path != b"b/"

    listed = whole(small, keep=keep)
    assert listed == [path for path in ORDER if not path.startswith(b"b/")]
    assert not any(path.startswith(b"b/") and path != b"b/" for path in asked)


@pytest.mark.parametrize("rows", [1, 2, 99])
def test_what_is_shut_is_told_before_its_page_and_left_out(commons, rows):
    grow(commons, [b"a", b"b/", b"b/x", b"c", b"d/", b"d/y", b"e"])
    found = [os.stat(commons / name) for name in ("b", "c", "e")]
    shut = [(each.st_dev, each.st_ino) for each in found]
    shut.append((found[0].st_dev + 1, os.stat(commons / "a").st_ino))
    pieces = list(
        Walk(Descent(str(commons)), Span(), shut=shut, page_rows=rows).pieces()
    )
    assert paths_of(tables(pieces)) == [b"", b"a", b"d/", b"d/y"]
    told = [piece for piece in pieces if isinstance(piece, Unreadable)]
    assert [piece.path for piece in told] == [b"b/", b"c", b"e"]
    assert all(piece.left_out for piece in told)


def test_an_unreadable_directory_is_told_and_the_rest_goes_on(commons):
    grow(commons, [b"a", b"locked/", b"locked/in", b"shut/", b"shut/in", b"z"])
    os.chmod(commons / "locked", 0)
    os.chmod(commons / "shut", 0o444)  # its names may be read, its entries not

    def listed():
        pieces = list(Walk(Descent(str(commons)), Span()).pieces())
        lost = [(p.path, p.errno) for p in pieces if isinstance(p, Unreadable)]
        return paths_of(tables(pieces)), lost

    paths, lost = as_nobody(listed)
    assert paths == [b"", b"a", b"locked/", b"shut/", b"z"]
    assert lost == [(b"locked/", errno.EACCES), (b"shut/in", errno.EACCES)]


def test_what_is_unreadable_is_told_before_anything_that_comes_behind_it(commons):
    grow(commons, [b"a/", b"a/x", b"b", b"c"])
    os.chmod(commons / "a", 0)

    def seen():
        behind: list[bytes] = []
        for piece in Walk(Descent(str(commons)), Span(), page_rows=2).pieces():
            if isinstance(piece, Unreadable):
                return behind
            assert isinstance(piece, Page)
            behind += paths_of(piece.entries)
        return None

    told_after = as_nobody(seen)
    assert told_after is not None
    assert all(path <= b"a/" for path in told_after)


@pytest.fixture
def mount(commons):
    """Give a tree with a mount point, which is unmounted at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    grow(commons, [b"a", b"m/", b"n/", b"n/x", b"z/", b"z/y"])
    command = ["mount", "-t", "tmpfs", "none", str(commons / "m")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    grow(commons / "m", [b"inside/", b"inside/deep"])
    yield commons
    subprocess.run(["umount", str(commons / "m")], check=True)


def test_a_mount_point_is_listed_and_not_entered_on_one_file_system(mount):
    descent = Descent(str(mount))
    everything = whole(descent)
    kept = whole(descent, one_file_system=True)
    descent.close()
    assert b"m/inside/deep" in everything
    assert kept == [b"", b"a", b"m/", b"n/", b"n/x", b"z/", b"z/y"]


def test_a_mount_point_is_not_entered_by_who_it_was_given_to(mount):
    descent = Descent(str(mount))
    kept = rope(descent, Span(), lambda: True, one_file_system=True)
    assert kept == whole(descent, one_file_system=True)
    descent.close()


def test_entries_that_vanish_between_their_names_and_their_stat_are_told_as_gone(
    place, small
):
    def keep(path: bytes) -> bool:
        if path in (b"b0", b"d/"):  # asked when the names are read
            subprocess.run(["rm", "-r", os.fsencode(place) + b"/" + path], check=True)
        return True

    pieces = list(Walk(small, Span(), keep=keep).pieces())
    gone = (b"b0", b"d/")
    assert paths_of(tables(pieces)) == [p for p in ORDER if not p.startswith(gone)]
    told = [piece for piece in pieces if isinstance(piece, Unreadable)]
    assert told == [Unreadable(path, errno.ENOENT) for path in gone]


def test_a_directory_that_became_a_file_is_told_and_not_entered(place, small):
    def keep(path: bytes) -> bool:
        if path == b"c/":
            (place / "c").rmdir()
            (place / "c").touch()
        return True

    pieces = list(Walk(small, Span(), keep=keep).pieces())
    assert b"c/" in {piece.path for piece in pieces if isinstance(piece, Unreadable)}
    assert paths_of(tables(pieces)) == [path for path in ORDER if path != b"c/"]


def test_a_directory_that_became_a_link_is_told_and_not_followed(place, small):
    (place / "b" / "sentinel").touch()

    def keep(path: bytes) -> bool:
        if path == b"c/":
            (place / "c").rmdir()
            (place / "c").symlink_to("b")
        return True

    pieces = list(Walk(small, Span(), keep=keep).pieces())
    assert b"c/" in {piece.path for piece in pieces if isinstance(piece, Unreadable)}
    assert not [p for p in paths_of(tables(pieces)) if p.startswith(b"c/")]


def test_a_tree_of_a_thousand_levels_is_listed(place, descent):
    fd = os.open(place, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir(b"d", dir_fd=fd)
        below_it = os.open(b"d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below_it
    os.symlink(b"target", b"l", dir_fd=fd)
    os.close(fd)
    table = tables(Walk(descent, Span()).pieces())
    assert paths_of(table) == [*(b"d/" * n for n in range(1001)), b"d/" * 1000 + b"l"]
    assert table["target"][-1].as_py() == b"target"


def test_an_empty_root_is_one_entry(descent):
    assert whole(descent) == [b""]


@pytest.mark.parametrize("name", [b".haulage-trash", b".haulage-trash/run/file"])
def test_the_trash_at_the_root_is_not_listed_whatever_it_is(place, descent, name):
    dirs = [os.path.dirname(name) + b"/", b"d/.haulage-trash/"]
    grow(place, [*dirs, name, b"d/.haulage-trash/file", b".haulage-trashy"])
    below = [b"d/", b"d/.haulage-trash/", b"d/.haulage-trash/file"]
    assert whole(descent) == [b"", b".haulage-trashy", *below]
