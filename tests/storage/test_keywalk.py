import random
import time

import pyarrow as pa
import pytest

from haulage.errors import FatalError
from haulage.model import ENTRY, Kind
from haulage.storage.bucket import Keys
from haulage.storage.keys.cuts import Rest, find_cut
from haulage.storage.keys.pages import DisorderError, KeyRoot, server_pages
from haulage.storage.keys.paths import key_of
from haulage.storage.keys.walk import KeyWalk, sorted_pieces
from haulage.storage.tree.walk import Given, Page, Span, Unreadable
from tests.engine_builders import paths_of
from tests.storage.key_bucket import KeyBucket

NAMES = ["a", "a-", "a.b", "b", "b!", "ab", "a/", "b/", "c/", "é/", "😀", ".x", "-/"]


def random_keys(rng, count, *, prefix="p/") -> list[str]:
    keys: set[str] = set()
    while len(keys) < count:
        parts = rng.choices(NAMES, k=rng.randint(1, 5))
        keys.add(prefix + "".join(parts[:-1]) + parts[-1])
    return sorted(keys)


def tables(pieces) -> pa.Table:
    pages = [piece.entries for piece in pieces if isinstance(piece, Page)]
    return pa.concat_tables([ENTRY.empty_table(), *pages])


EVERYTHING = Span()


def walked(bucket, span=EVERYTHING, *, for_files=True, **options) -> list:
    root = KeyRoot(bucket, "p/", for_files=for_files)
    return list(KeyWalk(root, span, **options).pieces())


def whole(bucket, **options) -> tuple[list[bytes], set[bytes]]:
    pieces = walked(bucket, **options)
    lost = [piece.path for piece in pieces if isinstance(piece, Unreadable)]
    assert len(lost) == len(set(lost)), "each refusal is told once"
    return paths_of(tables(pieces)), set(lost)


def expected(keys, *, for_files=True) -> tuple[list[bytes], set[bytes]]:
    """Return what a listing has, by the plainest means."""
    paths = [key.removeprefix("p/").encode() for key in keys]
    if not for_files:
        return sorted({b"", *paths}), set()
    bad = {p for p in paths if b"//" in p or p.startswith(b"/")}
    clash = {p for p in paths if any(o.startswith(p + b"/") for o in paths)} - bad
    clash = {p for p in clash if not p.endswith(b"/") and p}
    good = set(paths) - bad - clash
    dirs = {
        p[: at + 1] for p in set(paths) - bad for at in range(len(p)) if p[at] == 47
    }
    dirs = {d for d in dirs if any(k.startswith(d) for k in good | clash)}
    return sorted({b"", *good, *dirs}), bad | clash


@pytest.mark.parametrize("for_files", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_a_listing_is_every_path_in_plain_byte_order(seed, for_files):
    rng = random.Random(seed)
    keys = random_keys(rng, rng.randrange(1, 120))
    bucket = KeyBucket(["o", *keys, "q"], most=rng.choice([1, 2, 3, 7, 1000]))
    found = whole(bucket, for_files=for_files, page_rows=rng.choice([1, 3, 50]))
    assert found == expected(keys, for_files=for_files)


def test_keys_outside_of_the_prefix_are_not_listed():
    assert whole(KeyBucket(["p", "p-", "p0", "q/a"])) == ([b""], set())


def pieced(bucket, cuts, *, for_files, **options):
    """List the spans between cuts, one behind the other."""
    pieces = []
    for start, end in zip([None, *cuts], [*cuts, None], strict=True):
        pieces += walked(bucket, Span(b"", start, end), for_files=for_files, **options)
    return pieces


@pytest.mark.parametrize("for_files", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_spans_between_any_cuts_concatenate_to_the_whole(seed, for_files):
    rng = random.Random(100 + seed)
    keys = random_keys(rng, 80)
    bucket = KeyBucket(keys, most=rng.choice([1, 2, 5, 1000]))
    single = walked(bucket, for_files=for_files)
    paths, lost = expected(keys, for_files=for_files)
    real = [path for path in paths if path] if for_files else paths[1:]
    cuts = sorted(rng.sample(real, rng.randint(1, 8)))
    pieces = pieced(bucket, cuts, for_files=for_files, page_rows=3)
    assert tables(pieces).equals(tables(single))
    told = [piece.path for piece in pieces if isinstance(piece, Unreadable)]
    assert sorted(told) == sorted(lost)


@pytest.mark.parametrize("for_files", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_listing_goes_on_behind_any_path(seed, for_files):
    rng = random.Random(seed)
    keys = random_keys(rng, 50)
    bucket = KeyBucket(keys, most=3)
    paths, _ = expected(keys, for_files=for_files)
    for after in [*paths, b"a", b"a/", b"zz", b"-", b"b/a"]:
        rest = tables(walked(bucket, Span(after=after), for_files=for_files))
        implied_before = [path for path in paths if path > after]
        assert paths_of(rest) == implied_before, after


def rope(bucket, span, hungry, **options) -> list:
    """List a span, and each stretch that is given away where it belongs."""
    offered: dict[bytes | None, Span] = {}
    found: list = []

    def offer(part: Span) -> None:
        assert part.start not in offered
        offered[part.start] = part

    def patient() -> bool:
        time.sleep(0.001)  # so that a cut is found before the pages are through
        return hungry()

    for piece in walked(bucket, span, hungry=patient, offer=offer, **options):
        if isinstance(piece, Given):
            part = offered.pop(piece.start)
            found += rope(bucket, part, hungry, **options)
        else:
            found.append(piece)
    assert not offered, "what is given away and never asked for is listed in vain"
    return found


class SlowBucket(KeyBucket):
    """Takes a while for a page, so that a cut is found meanwhile."""

    def page(self, prefix, **options):
        if options.get("limit", 1000) > 1:
            time.sleep(0.002)
        return super().page(prefix, **options)


@pytest.mark.parametrize("for_files", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_stretches_that_are_given_away_concatenate_to_the_whole(seed, for_files):
    rng = random.Random(seed)
    keys = random_keys(rng, 150)
    bucket = SlowBucket(keys, most=2)
    pieces = rope(bucket, Span(), lambda: rng.random() < 0.9, for_files=for_files)
    assert tables(pieces).equals(tables(walked(bucket, for_files=for_files)))
    assert paths_of(tables(pieces)) == expected(keys, for_files=for_files)[0]


def test_a_flat_prefix_is_given_away_and_listed_whole():
    keys = [f"p/data/{number:06}" for number in range(4000)]
    bucket = SlowBucket(keys, most=50)
    offered: list[Span] = []
    walked(bucket, hungry=lambda: True, offer=offered.append)
    assert offered
    pieces = rope(bucket, Span(), lambda: True)
    assert paths_of(tables(pieces)) == expected(keys)[0]


@pytest.mark.parametrize(
    "name",
    ["{:07}", "img-{:07}.jpg", "{:07x}", "日本{:07}", "a/{:07}/x", "IMG {:04}"],
)
def test_a_cut_leaves_much_on_either_side(name):
    keys = ["p/data/" + name.format(number) for number in range(0, 100_000, 7)]
    bucket = KeyBucket(keys)
    behind = sorted(keys)[1000].removeprefix("p/").encode()
    cut = find_cut(Rest(bucket, "p/", behind, None))
    assert cut is not None
    share = sum(key.removeprefix("p/").encode() < cut for key in keys) / len(keys)
    assert 0.2 < share < 0.97, share
    assert bucket.requests <= 16


def test_what_is_cut_is_the_highest_directory_that_has_several():
    bucket = KeyBucket([f"p/{top}/{n}" for top in "abcde" for n in range(10)])
    assert find_cut(Rest(bucket, "p/", b"a/3", None)) == b"d/"
    assert find_cut(Rest(bucket, "p/", b"a/3", b"c/")) == b"b/"
    assert find_cut(Rest(bucket, "p/", b"e/3", None)) is None


def rows_by_path(bucket, **options) -> dict[bytes, dict]:
    return {row["path"]: row for row in tables(walked(bucket, **options)).to_pylist()}


def test_an_object_is_a_file_with_the_times_and_the_etag_of_the_server():
    row = rows_by_path(KeyBucket({"p/a/b": 7}))[b"a/b"]
    assert row == {
        "path": b"a/b", "kind": Kind.FILE, "mode": 0, "uid": 0, "gid": 0, "size": 7,
        "mtime_s": 1_500_000_000, "mtime_ns": 123_456_789,
        "ctime_s": 1_500_000_000, "ctime_ns": 123_456_789,
        "dev": 0, "ino": 0, "nlink": 0, "target": None, "etag": b"e-p/a/b",
    }  # fmt: skip


def test_a_prefix_without_marker_is_a_directory_without_etag_or_times():
    rows = rows_by_path(KeyBucket({"p/a/b/c": 7, "p/m/": 0, "p/m/x": 1}))
    assert list(rows) == [b"", b"a/", b"a/b/", b"a/b/c", b"m/", b"m/x"]
    for path in (b"", b"a/", b"a/b/"):
        assert rows[path]["kind"] == Kind.DIR
        assert (rows[path]["etag"], rows[path]["mtime_s"]) == (None, 0)
    assert rows[b"m/"]["kind"] == Kind.DIR
    assert rows[b"m/"]["etag"] == b"e-p/m/"


def test_the_markers_of_the_root_is_the_root():
    rows = rows_by_path(KeyBucket({"p/": 0, "p/a": 1}))
    assert list(rows) == [b"", b"a"]
    assert rows[b""]["etag"] == b"e-p/"


def test_a_marker_with_data_is_refused_for_files_and_an_object_otherwise():
    bucket = KeyBucket({"p/m/": 5, "p/n/": 5, "p/n/x": 1})
    assert whole(bucket) == ([b"", b"n/", b"n/x"], {b"m/", b"n/"})
    rows = rows_by_path(bucket, for_files=False)
    assert rows[b"m/"]["kind"] == Kind.FILE
    assert rows[b"m/"]["size"] == 5


@pytest.mark.parametrize("most", [1, 2, 1000])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_key_that_is_an_object_and_a_prefix_loses_to_the_directory(most, rows):
    keys = ["p/a", "p/a!", "p/a-", "p/a-b", "p/a-b/x", "p/a.txt", "p/a/b", "p/ab"]
    bucket = KeyBucket(keys, most=most)
    paths, lost = whole(bucket, page_rows=rows)
    assert lost == {b"a", b"a-b"}
    assert paths == [
        b"",
        b"a!",
        b"a-",
        b"a-b/",
        b"a-b/x",
        b"a.txt",
        b"a/",
        b"a/b",
        b"ab",
    ]


def test_a_clash_is_seen_over_the_border_of_two_spans():
    bucket = KeyBucket(["p/a", "p/a-1", "p/a-2", "p/a/b"])
    for cut in (b"a-1", b"a-2", b"a/b"):
        pieces = walked(bucket, Span(end=cut))
        lost = [piece.path for piece in pieces if isinstance(piece, Unreadable)]
        assert lost == [b"a"]
        assert b"a" not in paths_of(tables(pieces))


def test_a_refusal_names_its_reason_and_comes_before_what_is_behind_it():
    pieces = walked(KeyBucket(["p/a", "p/b//c", "p/d"]))
    refused = next(piece for piece in pieces if isinstance(piece, Unreadable))
    assert refused.reason
    assert "empty segment" in refused.reason
    assert pieces.index(refused) == 0


def test_what_only_a_file_system_can_not_hold_goes_from_bucket_to_bucket():
    keys = ["p//a", "p/a", "p/a/b", "p/a/../c", "p/a//b", "p/" + "x" * 300]
    paths, lost = whole(KeyBucket(keys), for_files=False)
    assert paths == sorted([b"", *(key[2:].encode() for key in keys)])
    assert lost == set()


def test_a_directory_that_is_not_kept_leaves_out_all_below_it():
    keys = ["p/a/b/c", "p/a/x", "p/b/", "p/b/y", "p/b/z/w", "p/b0", "p/c/b/"]
    dropped = (b"a/b/", b"b/")
    for for_files in (True, False):
        paths, _ = whole(
            KeyBucket(keys, most=2),
            for_files=for_files,
            keep=lambda path: path not in dropped,
        )
        assert [p for p in paths if p.startswith(dropped)] == []
        assert {b"a/x", b"b0", b"c/b/"} <= set(paths)


def test_a_large_directory_that_is_not_kept_is_passed_over():
    keys = [f"p/a/{number:04}" for number in range(1000)]
    bucket = KeyBucket([*keys, "p/a-", "p/b", "p/c/d"], most=10)
    paths, _ = whole(bucket, keep=lambda path: path != b"a/")
    assert paths == [b"", b"a-", b"b", b"c/", b"c/d"]
    assert bucket.requests <= 6


def test_a_span_that_starts_in_a_directory_that_is_not_kept_lists_nothing_of_it():
    bucket = KeyBucket(["p/a/b", "p/a/c/d", "p/a/c/e", "p/z"])
    pieces = walked(bucket, Span(start=b"a/c/e"), keep=lambda path: path != b"a/")
    assert paths_of(tables(pieces)) == [b"z"]


def test_a_page_of_the_listing_is_asked_for_while_the_one_before_is_taken_up():
    bucket = KeyBucket([f"p/{number:04}" for number in range(10)], most=5)
    pages = server_pages(KeyRoot(bucket, "p/", for_files=True), None, never)
    assert next(pages).keys[0] == "p/0000"
    deadline = time.monotonic() + 20
    while bucket.requests < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert bucket.requests == 2
    pages.close()


def never(_key: str) -> bool:
    return False


STRAYS = ["p/é", "p/" + key_of(b"\x80", ""), "p/a"]


def test_names_that_are_no_utf8_and_sort_otherwise_are_a_disorder():
    with pytest.raises(DisorderError):
        walked(KeyBucket(STRAYS))
    with pytest.raises(DisorderError):
        walked(KeyBucket(["p/\U0001f600", "p/" + key_of(b"\xff", "")]))


def test_names_that_are_no_utf8_are_listed_where_they_sort_alike():
    paths = [b"caf\xe9", b"caf\xe9/x", b"\xff"]
    keys = [key_of(path, "p/") for path in paths]
    assert whole(KeyBucket(["p/a", *keys]))[0] == [b"", b"a", b"caf\xe9/", *paths[1:]]


def test_a_listing_does_not_go_on_where_a_path_could_be_lost():
    stray = "p/" + key_of(b"\xff", "")
    after = Span(after="\U0001f600".encode())
    with pytest.raises(DisorderError):
        walked(KeyBucket([stray, "p/\U0001f600", "p/\U0001f601"]), after)
    with pytest.raises(DisorderError):
        walked(KeyBucket([stray]), Span(after=b"\xfe"))
    rest = walked(KeyBucket(["p/a", "p/\U0001f600", "p/\U0001f601"]), after)
    assert paths_of(tables(rest)) == ["\U0001f601".encode()]


@pytest.mark.parametrize("most", [2, 1000])
def test_a_server_that_lists_out_of_order_tells_nothing_before_it_is_found(most):
    keys = ["p/c", "p/a", "p/b", "p/d"]
    bucket = KeyBucket(keys, order=keys, most=most)
    pieces = KeyWalk(KeyRoot(bucket, "p/", for_files=True), Span()).pieces()
    with pytest.raises(DisorderError):
        next(pieces)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("for_files", [True, False])
def test_a_listing_out_of_order_is_the_same_when_it_is_sorted(
    tmp_path, seed, for_files
):
    rng = random.Random(seed)
    keys = random_keys(rng, 100)
    shuffled = rng.sample(keys, len(keys))
    bucket = KeyBucket(keys, order=shuffled + shuffled[:30], most=7)
    root = KeyRoot(bucket, "p/", for_files=for_files)
    right = KeyBucket(keys)
    for after in (None, b"", b"a/b", b"b"):
        pieces = list(sorted_pieces(root, tmp_path, after=after))
        alike = walked(right, Span(after=after), for_files=for_files)
        assert tables(pieces).equals(tables(alike))
        assert not list(tmp_path.iterdir())


class Broken(KeyBucket):
    """Answers with the pages it is given, whatever is asked."""

    def __init__(self, pages):
        super().__init__([])
        self.pages = pages

    def page(self, prefix, **options):
        self.requests += 1
        keys, is_last, token = self.pages[min(self.requests, len(self.pages)) - 1]
        whole = KeyBucket(list(keys)).page("")
        return Keys(
            list(keys), whole.sizes, whole.etags, whole.modified_ns, [], is_last, token
        )


def test_an_empty_page_with_a_token_is_gone_on_behind():
    bucket = Broken([((), False, "1"), (("p/a",), False, "2"), ((), True, None)])
    assert whole(bucket)[0] == [b"", b"a"]


def test_an_empty_page_that_does_not_tell_how_to_go_on_is_fatal():
    with pytest.raises(FatalError, match="empty page"):
        walked(Broken([((), False, None)]))


def test_a_token_that_comes_again_is_fatal():
    with pytest.raises(FatalError, match="token twice"):
        walked(Broken([((), False, "1")]))


def test_a_key_that_comes_twice_is_a_disorder_and_sorted_to_one(tmp_path):
    pages = [(("p/a", "p/b"), False, "1"), (("p/b", "p/c"), True, None)]
    with pytest.raises(DisorderError, match="twice"):
        walked(Broken(pages))
    root = KeyRoot(Broken(pages), "p/", for_files=True)
    found = list(sorted_pieces(root, tmp_path))
    assert paths_of(tables(found)) == [b"", b"a", b"b", b"c"]


@pytest.mark.parametrize("many", [1, 50])
def test_keys_that_a_tree_has_its_trash_at_are_left_out_of_one(many):
    trash = [f"p/.haulage-trash/run/{number}" for number in range(many)]
    keys = ["p/.haulage-", "p/.haulage-trash", *trash, "p/d/.haulage-trash/x"]
    bucket = KeyBucket(sorted(keys))
    paths = [b"", b".haulage-", b"d/", b"d/.haulage-trash/", b"d/.haulage-trash/x"]
    assert whole(bucket) == (paths, set())
    assert len(whole(bucket, for_files=False)[0]) == len(keys) + 1
