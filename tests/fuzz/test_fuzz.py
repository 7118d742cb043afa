"""Random days and random nights: the target is like the source after each full one.

The long test passes $HAULAGE_FUZZ_NIGHTS nights by $HAULAGE_FUZZ_SEED, and writes a
script of each failure to $HAULAGE_FUZZ_FOUND.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz.campaign import Campaign

_IN_MEMORY = Path("/dev/shm")
_LONG_NIGHTS = 200

only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="owners and devices are for root alone"
)
pytestmark = only_root


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """Give a directory in memory, where there is any."""
    above = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else otherwise
    with tempfile.TemporaryDirectory(dir=above, prefix="haulage-fuzz-") as root:
        yield Path(root)


def long_nights() -> int:
    """Return how many nights a long test passes."""
    return int(os.environ.get("HAULAGE_FUZZ_NIGHTS", _LONG_NIGHTS))


def campaign_seed() -> int:
    """Return what decides which nights these are."""
    return int(os.environ.get("HAULAGE_FUZZ_SEED", "2"))


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    """Return a campaign that has not begun."""
    with in_memory(tmp_path) as root:
        yield Campaign(root)


@pytest.mark.slow
@pytest.mark.parametrize("nights", [8, pytest.param(16, marks=pytest.mark.torture)])
def test_after_a_full_night_the_target_is_like_the_source_whatever_went_before(
    campaign: Campaign, tmp_path: Path, nights: int
) -> None:
    campaign.kills, campaign.patience_s = False, 60
    campaign.go_on(1, nights)
    assert campaign.written_to(tmp_path) == []


@pytest.mark.torture
@pytest.mark.timeout(0)
def test_so_it_is_after_many_more_nights(campaign: Campaign, tmp_path: Path) -> None:
    campaign.go_on(campaign_seed(), long_nights())
    where = Path(os.environ.get("HAULAGE_FUZZ_FOUND", tmp_path))
    assert campaign.written_to(where) == []
