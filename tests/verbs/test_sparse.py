import os
from itertools import pairwise

import pytest

from haulage.model import Status, Verb, Verified
from haulage.verbs.check import check
from haulage.verbs.copy import copy
from haulage.verbs.parts import discard, part, publish
from haulage.verbs.verify import verify
from tests.engine_builders import OLD_NS, action_on, checksum_of, put, read
from tests.stores import RANGE

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("small_ranges")
SHAPES = {
    "all hole": (3 * MIB, []),
    "islands": (5 * MIB, [(MIB, 4096), (3 * MIB + 5, 100)]),
    "a hole at the end": (2 * MIB, [(0, 8192)]),
    "an odd end": (2 * MIB + 77, [(2 * MIB, 77)]),
    "small": (100_000, [(50_000, 1)]),
}


def put_sparse(root, path, size, islands):
    full = put(root, path)
    with open(full, "r+b") as file:
        file.truncate(size)
        for at, length in islands:
            file.seek(at)
            file.write(os.urandom(length))
    os.utime(full, ns=(OLD_NS, OLD_NS))
    return full


def blocks(root, path):
    return os.stat(os.path.join(os.fsencode(root), path)).st_blocks


@pytest.fixture(params=[True, False], ids=["hashing", "by the kernel"])
def either(request, ends):
    ends.attempt.kernel.hashing = request.param
    ends.attempt.kernel.can_clone = False
    return ends


@pytest.mark.parametrize("shape", SHAPES)
def test_holes_stay_holes_and_every_byte_is_the_same(either, shape):
    put_sparse(either.source, b"f", *SHAPES[shape])
    outcome = copy(either.attempt, action_on(either.source, b"f"), 0)
    content = read(either.source, b"f")
    assert read(either.target, b"f") == content
    assert blocks(either.target, b"f") <= blocks(either.source, b"f")
    assert outcome.checksum in (None, checksum_of(content))
    assert (outcome.checksum is not None) == either.attempt.kernel.hashing


@pytest.mark.parametrize("shape", SHAPES)
def test_a_checksum_of_a_sparse_copy_is_proven_by_the_target(ends, shape):
    put_sparse(ends.source, b"f", *SHAPES[shape])
    made = copy(ends.attempt, action_on(ends.source, b"f"), 0)
    action = action_on(ends.source, b"f", Verb.VERIFY, checksum=made.checksum)
    assert verify(ends.attempt, action, 0).checksum == checksum_of(
        read(ends.source, b"f")
    )


def test_a_terabyte_of_holes_costs_nothing(either):
    put_sparse(either.source, b"f", 1 << 40, [(1 << 39, 10)])
    outcome = copy(either.attempt, action_on(either.source, b"f"), 0)
    assert outcome.checksum is None
    assert outcome.status == Status.COPIED
    assert os.stat(either.target / "f").st_size == 1 << 40
    assert blocks(either.target, b"f") <= blocks(either.source, b"f")
    action = action_on(either.source, b"f", Verb.VERIFY)
    proven = verify(either.attempt, action, 0)
    assert (proven.checksum, proven.verified) == (None, Verified.CHECKSUM)
    assert either.attempt.moved < 10 * MIB


def test_one_byte_in_a_terabyte_of_holes_is_found_and_copied(ends):
    full = put_sparse(ends.source, b"f", 1 << 40, [(1 << 39, 10)])
    copy(ends.attempt, action_on(ends.source, b"f"), 0)
    action = action_on(ends.source, b"f", Verb.CHECK)
    assert check(ends.attempt, action, 1).status == Status.UNCHANGED
    with open(full, "r+b") as file:
        file.seek(1 << 38)
        file.write(b"!")
    os.utime(full, ns=(OLD_NS, OLD_NS))
    action = action_on(ends.source, b"f", Verb.CHECK)
    assert check(ends.attempt, action, 2).status == Status.COPIED
    with open(ends.target / "f", "rb") as file:
        file.seek(1 << 38)
        assert file.read(1) == b"!"


def parts_of(ends, cuts):
    whole = action_on(ends.source, b"f", Verb.PART)
    for row, (start, end) in enumerate(pairwise(cuts)):
        piece = whole._replace(offset=start, length=end - start)
        part(ends.attempt, piece, row)
        yield piece._replace(verb=Verb.PUBLISH)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_parts_of_a_sparse_file_leave_its_holes(either, shape):
    size, islands = SHAPES[shape]
    put_sparse(either.source, b"f", size, islands)
    cuts = [part * size // 6 // RANGE * RANGE for part in (0, 2, 3)]
    parts = list(parts_of(either, sorted({*cuts, size})))
    outcome = publish(either.attempt, parts[-1], 0, parts)
    content = read(either.source, b"f")
    assert read(either.target, b"f") == content
    assert blocks(either.target, b"f") <= blocks(either.source, b"f")
    assert outcome.checksum in (None, checksum_of(content))


def test_nothing_of_an_earlier_version_is_left_in_a_hole(either):
    size = 2 * MIB
    put(either.source, b"f", os.urandom(size))
    list(parts_of(either, [0, MIB, size]))
    put_sparse(either.source, b"f", size, [(MIB, 5)])
    parts = list(parts_of(either, [0, MIB, size]))
    publish(either.attempt, parts[-1], 0, parts)
    assert read(either.target, b"f") == read(either.source, b"f")


def test_what_is_allocated_beyond_the_end_does_not_lengthen_the_copy(either):
    full = put(either.source, b"f", b"x" * 10_000)
    with open(full, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 4 * MIB)
        file.truncate(10_000)
    copy(either.attempt, action_on(either.source, b"f"), 0)
    assert read(either.target, b"f") == b"x" * 10_000


@pytest.mark.parametrize("clones", [True, False])
def test_holes_are_no_bytes_that_were_moved(either, clones):
    either.attempt.kernel.can_clone = clones
    full = put_sparse(either.source, b"f", 1 << 40, [(MIB, 4096)])
    outcome = copy(either.attempt, action_on(either.source, b"f"), 0)
    assert 4096 <= outcome.moved <= os.stat(full).st_blocks * 512
    length = {"offset": 0, "length": 1 << 40}
    one = part(either.attempt, action_on(either.source, b"f", Verb.PART, **length), 1)
    assert one.moved <= os.stat(full).st_blocks * 512
    discard(either.attempt, action_on(either.source, b"f"), 1)
