"""Pages that are out of order, or make no sense, lose no key unnoticed."""

import random
import re
import time
from dataclasses import replace

import pytest

from haulage.errors import FatalError
from haulage.storage.buckets.keys.misnamed_keys import REPLACED, TWICE
from haulage.storage.buckets.keys.paths import key_of
from haulage.storage.buckets.keys.server_pages import (
    DisorderError,
    KeyRoot,
    server_pages,
)
from haulage.storage.buckets.keys.walk import KeyWalk, sorted_pieces
from haulage.storage.buckets.protocol import Keys
from haulage.storage.tree.listing.walk import Span, Unreadable
from tests.engine_builders import paths_of
from tests.storage.key_bucket import KeyBucket
from tests.storage.key_listing import random_keys, tables, walked, whole


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
    again = list(filter(str.isascii, shuffled))[:30]
    bucket = KeyBucket(keys, order=shuffled + again, most=7)
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


def test_a_key_that_stands_for_several_is_told_and_none_of_them_is_listed(tmp_path):
    bucket = KeyBucket(["p/a", "p/b", "p/\xe9", "p/z"], most=2)
    bucket.keys.insert(0, "p/\xe9")  # e and an accent, composed by the listing
    with pytest.raises(DisorderError):
        walked(bucket)
    bucket.is_sorted = False
    found = list(sorted_pieces(KeyRoot(bucket, "p/", for_files=True), tmp_path))
    assert paths_of(tables(found)) == [b"", b"a", b"b", b"z"]
    told = {
        piece.path: piece.reason for piece in found if isinstance(piece, Unreadable)
    }
    assert told == {"\xe9".encode(): TWICE}


def test_a_key_that_no_object_has_is_a_disorder_and_told_when_it_is_sorted(tmp_path):
    bucket = Veiled(["p/\ufffd", "p/a\1", "p/a\ufffd", "p/b\2", "p/c"])
    with pytest.raises(DisorderError, match="no object of that name"):
        walked(bucket)
    bucket.is_sorted = False
    found = list(sorted_pieces(KeyRoot(bucket, "p/", for_files=True), tmp_path))
    assert paths_of(tables(found)) == [b"", b"c", "\ufffd".encode()]
    told = {
        piece.path: piece.reason for piece in found if isinstance(piece, Unreadable)
    }
    assert told == {"a\ufffd".encode(): TWICE, "b\ufffd".encode(): REPLACED}


def refused_in(pieces):
    return {
        piece.path: piece.reason for piece in pieces if isinstance(piece, Unreadable)
    }


class Veiled(KeyBucket):
    """Lists control characters as U+FFFD."""

    def page(self, prefix, **options):
        page = super().page(prefix, **options)
        keys = [re.sub("[\1-\x1f]", "\ufffd", key) for key in page.keys]
        return replace(page, keys=keys, replaced=True)
