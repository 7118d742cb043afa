"""A listing has every path in order, in one piece or in stretches cut anywhere."""

import random
import time

import pytest

from haulage.storage.buckets.keys.cuts import Rest, find_cut
from haulage.storage.tree.listing.walk import Given, Span, Unreadable
from tests.engine_builders import paths_of
from tests.storage.key_bucket import KeyBucket
from tests.storage.key_listing import expected, random_keys, tables, walked, whole


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
