"""Sums of objects: how servers tell them, and how those of ranges give the whole."""

import hashlib
import random
import zlib
from base64 import b64encode

import pytest

from haulage.errors import MismatchError
from haulage.storage.buckets.sums import (
    Checksum,
    checksum_in,
    checksum_of_etag,
    digest,
    range_sums,
    sums_of_parts,
)
from haulage.storage.store import Extent, Sums

STEP = 1 << 16
CONTENT = random.Random(5).randbytes(3 * STEP + 1234)
SIZE = len(CONTENT)
ETAG = b"5d41402abc4b2a76b9719d911017c592"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr("haulage.place._SMALLEST_PART", STEP)


def pieces(content=CONTENT):
    return [
        (Extent(at, len(content[at : at + STEP])), content[at : at + STEP])
        for at in range(0, len(content), STEP)
    ]


def wanted(algorithm, *, step=0):
    if not step:
        return Checksum(algorithm, digest(algorithm, CONTENT))
    sums = sums_of_parts(algorithm, CONTENT, step)
    return Checksum(algorithm, digest(algorithm, sums), -(-SIZE // step))


def read(sums, content=CONTENT):
    """Return what is known of the ranges when each has come, the last one first."""
    every = pieces(content)
    for extent, piece in every:
        sums.follow(extent, piece)
    return {extent.offset: sums.of(extent, piece) for extent, piece in every[::-1]}


def proving(checksum, step=0, excuse=None):
    sums = range_sums(checksum, SIZE, step, excuse)
    assert sums is not None
    return sums


def damaged(at):
    return CONTENT[:at] + bytes([CONTENT[at] ^ 1]) + CONTENT[at + 1 :]


@pytest.mark.parametrize(
    ("algorithm", "known"),
    [
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("md5", "25f9e794323b453885f5181f1b624d0b"),
        ("sha1", hashlib.sha1(b"123456789").hexdigest()),
    ],
)
def test_sums_are_those_of_their_definitions(algorithm, known):
    assert digest(algorithm, b"123456789").hex() == known
    assert digest(algorithm, memoryview(b"123456789")).hex() == known


@pytest.mark.parametrize("at", [0, STEP - 1, STEP, SIZE - 1])
@pytest.mark.parametrize(
    ("algorithm", "step"),
    [
        *[(name, 0) for name in ("crc32", "crc32c", "crc64nvme", "md5", "sha256")],
        *[(name, STEP) for name in ("crc32", "crc32c", "md5", "sha256", "sha1")],
        *[(name, STEP // 2) for name in ("crc32c", "md5")],
    ],
)
def test_one_bit_in_any_range_is_another_whole(algorithm, step, at):
    sums = proving(wanted(algorithm, step=step), step)
    sums.check(read(sums))
    sums = proving(wanted(algorithm, step=step), step)
    with pytest.raises(MismatchError, match=algorithm):
        sums.check(read(sums, damaged(at)))


@pytest.mark.parametrize("algorithm", ["crc32", "md5"])
def test_a_range_that_misses_is_no_mismatch(algorithm):
    step = STEP if algorithm == "md5" else 0
    sums = proving(wanted(algorithm, step=step), step)
    known = read(sums, damaged(0))
    del known[STEP]
    sums.check(known)
    sums.check({})
    sums.check(read(sums, damaged(0)) | {0: b""})


def test_a_whole_that_nobody_read_in_its_order_is_not_judged():
    sums = proving(wanted("md5"))
    for extent, piece in pieces()[1:]:
        sums.follow(extent, piece)
    sums.check({})


def test_parts_that_do_not_line_up_with_ranges_prove_nothing():
    assert range_sums(wanted("md5", step=STEP * 2), SIZE, STEP * 2, None) is None
    assert range_sums(wanted("md5", step=STEP - 1), SIZE, STEP - 1, None) is None
    assert range_sums(wanted("md5", step=STEP), SIZE, 0, None) is None
    Sums().check({0: b"anything"})


def test_an_excuse_is_asked_for_on_a_mismatch_alone():
    asked = []

    def excuse(found):
        asked.append(found)
        return True

    sums = proving(wanted("crc32"), excuse=excuse)
    sums.check(read(sums))
    assert asked == []
    sums.check(read(sums, damaged(3)))
    assert asked == [zlib.crc32(damaged(3)).to_bytes(4, "big")]


def told(**values):
    names = {"kind": "x-amz-checksum-type"}
    return {names.get(name, f"x-amz-checksum-{name}"): each for name, each in
            values.items()}  # fmt: skip


def test_a_checksum_is_read_as_the_server_tells_its_form():
    value = b64encode(b"\1\2\3\4").decode()
    whole, parts = Checksum("crc32", b"\1\2\3\4"), Checksum("crc32", b"\1\2\3\4", 3)
    assert checksum_in(told(crc32=value), ETAG) == whole
    assert checksum_in(told(crc32=value, kind="FULL_OBJECT"), ETAG + b"-3") == whole
    assert checksum_in(told(crc32=f"{value}-3", kind="COMPOSITE"), ETAG) == parts
    assert checksum_in(told(crc32=f"{value}-3"), ETAG + b"-3") == parts
    both = told(sha256=value, crc32=value)
    assert checksum_in(both, ETAG) == whole


@pytest.mark.parametrize(
    ("headers", "etag"),
    [
        ({}, ETAG),
        (told(kind="FULL_OBJECT"), ETAG),
        (told(crc32="AQIDBA=="), ETAG + b"-3"),  # of the whole, or of the parts
        (told(crc32="AQIDBA==", kind="COMPOSITE"), ETAG),
        (told(crc32="no base64!"), ETAG),
        (told(crc32="AQIDBA"), ETAG),
    ],
)
def test_a_checksum_of_unknown_form_is_none(headers, etag):
    assert checksum_in(headers, etag) is None


def test_an_etag_is_a_sum_if_it_looks_like_one():
    assert checksum_of_etag(ETAG) == Checksum("md5", bytes.fromhex(ETAG.decode()))
    of_parts = Checksum("md5", bytes.fromhex(ETAG.decode()), 12)
    assert checksum_of_etag(ETAG + b"-12") == of_parts
    assert checksum_of_etag(b"0x8DD") is None
    assert checksum_of_etag(b"") is None


def test_content_in_usual_parts_is_known_by_its_etag():
    mib = 1 << 20
    content = random.Random(2).randbytes(11 * mib)
    for step, parts in ((8 * mib, 2), (5 * mib, 3), (len(content), 1)):
        etag = Checksum(
            "md5", digest("md5", sums_of_parts("md5", content, step)), parts
        )
        assert etag.fits_in_parts(content)
        assert not etag.fits_in_parts(content[:-1] + b"\0\0")
