"""The checksum of content, however it comes: of a large one, that of its ranges'."""

import os
import random

import pytest

from haulage.place import part_bytes
from haulage.storage.checksums import BothChecksums, Checksum, of_ranges
from tests.engine_builders import checksum_of, linear_checksum_of
from tests.stores import MIB, PART, RANGE

pytestmark = pytest.mark.usefixtures("small_ranges")
CONTENT = os.urandom(5 * RANGE + 9)
SIZES = [0, 1, RANGE - 1, RANGE, RANGE + 1, 2 * RANGE, len(CONTENT)]


def pieces_of(content: bytes, seed: int) -> list[bytes]:
    dice, at, pieces = random.Random(seed), 0, []
    while at < len(content):
        length = dice.choice((0, 1, 999, RANGE, 3 * RANGE))
        pieces.append(content[at : at + length])
        at += length
    return pieces


@pytest.mark.parametrize("size", SIZES)
def test_it_does_not_depend_on_the_pieces_in_which_content_comes(size):
    content = CONTENT[:size]
    for seed in range(10):
        both = BothChecksums(size)
        for piece in pieces_of(content, seed):
            both.update(piece)
        found = both.content()
        assert found.checksum == checksum_of(content)
        assert found.linear == linear_checksum_of(content)


@pytest.mark.parametrize("size", SIZES)
def test_that_of_the_whole_follows_from_its_parts(size):
    digests = []
    for at in range(0, max(1, size), 2 * RANGE):
        part = Checksum(size)
        part.update(CONTENT[at : min(size, at + 2 * RANGE)])
        digests += part.digests()
    assert of_ranges(digests) == checksum_of(CONTENT[:size])


def test_what_was_recorded_before_is_known_again_and_nothing_else():
    both = BothChecksums(len(CONTENT))
    both.update(CONTENT)
    content = both.content()
    assert content.has(checksum_of(CONTENT))
    assert content.has(linear_checksum_of(CONTENT))
    assert not content.has(linear_checksum_of(CONTENT[:-1]))


def test_the_length_of_ranges_stays_what_recorded_checksums_are_made_of(monkeypatch):
    monkeypatch.undo()
    lengths = {1: 16, 10_000 * PART: 16, 10_000 * PART + 1: 32, 1 << 40: 112}
    assert {size: part_bytes(size) // MIB for size in lengths} == lengths
