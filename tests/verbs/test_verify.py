import os

import pytest

from haulage.errors import MismatchError
from haulage.model import Status, Verb, Verified
from haulage.verbs.verify import verify
from tests.engine_builders import (
    OLD_NS,
    action_on,
    checksum_of,
    linear_checksum_of,
    put,
)
from tests.stores import RANGE

CONTENT = os.urandom(2_500_000)


@pytest.fixture
def copied(ends):
    """Give ends with an equal file, link and directory on both sides."""
    for root in (ends.source, ends.target):
        put(root, b"f", CONTENT)
        (root / "l").symlink_to("to")
        (root / "d").mkdir()
        for name in ("l", "d"):
            os.utime(root / name, ns=(OLD_NS, OLD_NS), follow_symlinks=False)
    return ends


def proven(ends, path: bytes = b"f", *, content: bool = True, **fields):
    known = {"checksum": checksum_of(CONTENT) if path == b"f" else None}
    action = action_on(ends.source, path, Verb.VERIFY, **known | fields)
    ends.attempt.verifies_content = content
    return verify(ends.attempt, action, 0)


def test_an_equal_file_is_proven_by_its_checksum(copied):
    outcome = proven(copied)
    assert outcome.status == Status.VERIFIED
    assert outcome.verified == Verified.CHECKSUM
    assert outcome.checksum == checksum_of(CONTENT)


def test_a_copy_without_a_checksum_is_proven_against_the_source(copied):
    outcome = proven(copied, checksum=None)
    assert outcome.checksum == checksum_of(CONTENT)
    assert outcome.verified == Verified.CHECKSUM


@pytest.mark.usefixtures("small_ranges")
def test_a_large_file_is_proven_by_what_earlier_versions_recorded(copied):
    outcome = proven(copied, checksum=linear_checksum_of(CONTENT))
    assert outcome.verified == Verified.CHECKSUM
    assert outcome.checksum == checksum_of(CONTENT) != linear_checksum_of(CONTENT)
    put(copied.target, b"f", CONTENT[: 9 * RANGE] + b"!" + CONTENT[9 * RANGE + 1 :])
    for known in (linear_checksum_of, checksum_of):
        with pytest.raises(MismatchError, match="content"):
            proven(copied, checksum=known(CONTENT))


def test_proof_is_kept_where_only_attributes_are_looked_at(copied):
    assert proven(copied, content=False).verified == Verified.METADATA
    assert proven(copied, content=False, verified=2).verified == Verified.CHECKSUM
    assert proven(copied, b"l").verified == Verified.METADATA
    assert proven(copied, b"d/").verified == Verified.METADATA


def test_being_racy_is_passed_on(copied):
    assert proven(copied, racy=True).racy is True


@pytest.mark.parametrize(
    "known", [checksum_of(CONTENT), None], ids=["known", "not known"]
)
@pytest.mark.parametrize("at", [0, 1 << 20, len(CONTENT) - 1])
def test_one_flipped_bit_is_found(copied, at, known):
    content = bytearray(CONTENT)
    content[at] ^= 1
    put(copied.target, b"f", bytes(content))
    with pytest.raises(MismatchError, match="content"):
        proven(copied, checksum=known)


@pytest.mark.parametrize("content", [True, False])
def test_another_time_or_size_is_found_and_named(copied, content):
    put(copied.target, b"f", CONTENT, mtime_ns=OLD_NS + 1)
    with pytest.raises(MismatchError, match="mtime_ns is 123456790, not 123456789"):
        proven(copied, content=content)
    put(copied.target, b"f", CONTENT[:-1])
    with pytest.raises(MismatchError, match="size is 2499999, not 2500000"):
        proven(copied, content=content)


@pytest.mark.skipif(os.geteuid() != 0, reason="an owner is checked for root alone")
def test_another_owner_or_mode_is_found_by_root(copied):
    os.chmod(copied.target / "f", 0o600)
    with pytest.raises(MismatchError, match="mode"):
        proven(copied)
    os.chmod(copied.target / "f", 0o644)
    os.chown(copied.target / "f", 1, 1)
    with pytest.raises(MismatchError, match="uid is 1, not 0; gid is 1, not 0"):
        proven(copied)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("content", [True, False])
@pytest.mark.parametrize("what", ["nothing", "directory", "link", "fifo"])
def test_what_is_not_our_file_is_a_mismatch(copied, what, content):
    os.unlink(copied.target / "f")
    if what == "directory":
        (copied.target / "f").mkdir()
    elif what == "link":
        (copied.target / "f").symlink_to(copied.source / "f")
    elif what == "fifo":
        os.mkfifo(copied.target / "f")
    with pytest.raises(MismatchError):
        proven(copied, content=content)


def test_a_missing_parent_is_a_mismatch(copied):
    put(copied.source, b"d/x", b"x")
    os.rmdir(copied.target / "d")
    with pytest.raises(MismatchError, match="missing"):
        proven(copied, b"d/x", checksum=checksum_of(b"x"))


def test_a_link_to_elsewhere_is_found(copied):
    os.unlink(copied.target / "l")
    (copied.target / "l").symlink_to("else")
    os.utime(copied.target / "l", ns=(OLD_NS, OLD_NS), follow_symlinks=False)
    with pytest.raises(MismatchError, match="target is else, not to"):
        proven(copied, b"l")
