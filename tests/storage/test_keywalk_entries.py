"""What a listing of keys makes of objects, markers, prefixes and names of both."""

import pytest

from haulage.model import Kind
from haulage.storage.tree.listing.walk import Span, Unreadable
from tests.engine_builders import paths_of
from tests.storage.key_bucket import KeyBucket
from tests.storage.key_listing import tables, walked, whole


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


@pytest.mark.parametrize("many", [1, 50])
def test_keys_that_a_tree_has_its_trash_at_are_left_out_of_one(many):
    trash = [f"p/.haulage-trash/run/{number}" for number in range(many)]
    keys = ["p/.haulage-", "p/.haulage-trash", *trash, "p/d/.haulage-trash/x"]
    bucket = KeyBucket(sorted(keys))
    paths = [b"", b".haulage-", b"d/", b"d/.haulage-trash/", b"d/.haulage-trash/x"]
    assert whole(bucket) == (paths, set())
    assert len(whole(bucket, for_files=False)[0]) == len(keys) + 1


@pytest.mark.parametrize("for_files", [True, False])
def test_the_marks_of_targets_are_never_entries(for_files):
    keys = ["p/.haulage-state-", "p/.haulage-state-tree", "p/a", "p/a/.haulage-state-b"]
    entries, _ = whole(KeyBucket(keys[:3] if for_files else keys), for_files=for_files)
    assert [path for path in entries if path.startswith(b".haulage")] == []
    assert (b"a/.haulage-state-b" in entries) is not for_files
