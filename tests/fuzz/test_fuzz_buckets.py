"""Random days of a directory that goes through buckets into another directory.

What comes out is like what went in, as far as docs/buckets.md promises.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.buckets.conftest import KEYS
from tests.e2e.buckets.shelf import Shelf
from tests.fuzz.chains import Chain
from tests.fuzz.test_fuzz import campaign_seed, in_memory, long_nights, only_root
from tests.fuzz.world import World
from tests.servers.s3 import S3Server

pytestmark = only_root
_LIFE = 5  # nights of a chain


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS[1])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Return a directory in memory, where there is any."""
    with in_memory(tmp_path) as made:
        yield made


def pass_life(root: Path, seed: str, shelves: list[Shelf], nights: int) -> None:
    """Let nights pass, every second one a full one, and the last."""
    dice = random.Random(seed)
    chain = Chain.through(World.made_in(root), shelves)
    for number in range(nights):
        is_full = number % 2 == 1 or number == nights - 1
        wrong = chain.night(dice, is_full=is_full)
        assert wrong == [], (seed, chain.passed[-1].options)


@pytest.mark.slow
def test_what_comes_out_of_a_bucket_is_like_what_went_in(
    root: Path, moto_s3: S3Server, bucket: Callable[[S3Server], str]
) -> None:
    pass_life(root, "1", [Shelf(moto_s3, bucket(moto_s3))], 2)


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ["moto_s3", "localstack"])
def test_so_it_is_after_two_buckets_and_many_more_nights(
    root: Path,
    name: str,
    request: pytest.FixtureRequest,
    bucket: Callable[[S3Server], str],
) -> None:
    server = request.getfixturevalue(name)
    for life in range(-(-long_nights() // (8 * _LIFE))):
        shelves = [Shelf(server, bucket(server)) for _ in range(1 + life % 2)]
        pass_life(root / str(life), f"{campaign_seed()}-{life}", shelves, _LIFE)
