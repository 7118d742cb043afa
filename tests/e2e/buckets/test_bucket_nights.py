"""Days that change a tree, and nights that bring buckets and directories after it."""

import random
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.buckets.conftest import Shelve
from tests.e2e.buckets.shelf import GUARDED, Count, Route, Shelf, Watch, acted_on
from tests.e2e.place import Place, grow_old
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server
from tests.trees.build import plant
from tests.trees.compare import Aspect, assert_same, leftovers
from tests.trees.mutate import mutate

NIGHTS = 3
NOT_IN_BUCKETS = frozenset({Aspect.XATTRS})
MOST_REQUESTS = 6  # of a night in which a directory did not change
MOST_SAMPLED = 3 * 15 + 3 * 8  # of any size of bucket; see run/guards/sample.py


class Chain(NamedTuple):
    """A directory into a bucket, that into another one, and that into a directory."""

    routes: list[Route]
    proxy: Proxy  # before both buckets

    def night(self) -> None:
        """Sync all three and look whether the last directory is like the first."""
        for route in self.routes:
            route.synced(*GUARDED)
        first, last = self.routes[0].source, self.routes[-1].target
        assert isinstance(first, Path)
        assert isinstance(last, Path)
        assert_same(first, last, ignore=NOT_IN_BUCKETS)
        assert leftovers(last) == []


@pytest.fixture
def chain(place: Place, localstack: S3Server, shelve: Shelve, watch: Watch) -> Chain:
    one, passing = watch.before(shelve(localstack))
    two = shelve(localstack).behind(passing.endpoint)
    ends: list[Path | Shelf] = [place.source, one, two, place.root / "back"]
    routes = [
        Route(replace(place, name=f"leg-{leg}"), ends[leg], ends[leg + 1])
        for leg in range(3)
    ]
    return Chain(routes, passing)


@pytest.mark.slow
def test_after_each_night_both_buckets_and_the_last_directory_are_equal(
    place: Place, chain: Chain
) -> None:
    pass_nights(place, chain, 11, nights=1)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(11, 20))
def test_more_nights_pass_as_well(place: Place, chain: Chain, seed: int) -> None:
    pass_nights(place, chain, seed, nights=NIGHTS)


def pass_nights(place: Place, chain: Chain, seed: int, *, nights: int) -> None:
    dice = random.Random(seed)
    plant(place.source, seed, 200)
    chain.night()
    for _ in range(nights):
        mutate(place.source, dice.randrange(1 << 30), dice.uniform(0.05, 0.3))
        chain.night()


def test_a_night_without_a_change_lists_and_does_nothing_else(
    place: Place, chain: Chain
) -> None:
    plant(place.source, 13, 150)
    chain.night()
    grow_old()
    chain.night()  # looks again at what was young
    upwards, across, downwards = chain.routes
    for route in chain.routes:
        count = Count(chain.proxy)
        summary = route.synced(*GUARDED)
        assert acted_on(summary) == 0
        assert summary["unchanged"] == summary["listed"]
        # The mark of the target, and a sample of it, tell whether it is last night's.
        mark = [seen for seen in count.seen() if "/.haulage-state-" in seen.path]
        sampled = [seen for seen in count.of_objects() if seen not in mark]
        assert len(sampled) <= MOST_SAMPLED
        assert {seen.method for seen in sampled} <= {"HEAD"}
        rest = [seen for seen in count.seen() if seen not in [*mark, *sampled]]
        assert {seen.method for seen in rest} <= {"GET"}
        if route is upwards:
            assert len(rest) <= MOST_REQUESTS
    assert (across.source, downwards.source) == (upwards.target, across.target)


def test_a_still_night_only_lists_a_bucket_that_others_have_filled(
    place: Place, moto_shelf: Shelf, watch: Watch
) -> None:
    for key in ("a", "dir/below", "dir/sub/deep", "marker/"):
        moto_shelf.put(key, key.encode() if key != "marker/" else b"")
    source, passing = watch.before(moto_shelf)
    route = Route(place, source, place.root / "back")
    route.synced(*GUARDED)
    count = Count(passing)
    assert acted_on(route.synced(*GUARDED)) == 0
    assert count.of_objects() == []
