"""A stamp is trusted once its file system's clock is surely past it."""

import os

import pytest

from haulage.storage.store import Now
from haulage.storage.tree.filesystem.clock import is_racy, now_at
from tests.engine_builders import GIGA, OLD_NS

HOUR_NS = 3600 * GIGA
SEEN_NS = 1_700_000_000 * GIGA + 5
SURE = Now(SEEN_NS, SEEN_NS)
VAGUE = Now(SEEN_NS - 900 * GIGA, SEEN_NS + 900 * GIGA)  # of a server


@pytest.mark.parametrize(
    ("ctime_ns", "now", "racy"),
    [
        (SEEN_NS - 1 * GIGA, SURE, True),
        (SEEN_NS - 3 * GIGA, SURE, False),
        (SEEN_NS - 5 - 3 * GIGA, SURE, True),  # of whole seconds
        (SEEN_NS - 5 - 5 * GIGA, SURE, False),
        (SEEN_NS + HOUR_NS, SURE, True),
        (SEEN_NS - 600 * GIGA, VAGUE, True),
        (SEEN_NS + 600 * GIGA, VAGUE, True),
        (SEEN_NS - HOUR_NS, VAGUE, False),
    ],
)
def test_a_file_is_racy_while_a_later_change_could_get_the_same_stamp(
    ctime_ns, now, racy
):
    assert is_racy(OLD_NS, ctime_ns, now) is racy


def test_an_mtime_from_around_now_is_racy_whatever_the_ctime_is_worth():
    for mtime_ns in (SEEN_NS - 600 * GIGA, SEEN_NS + 600 * GIGA):
        assert is_racy(mtime_ns, OLD_NS, VAGUE)
        assert not is_racy(mtime_ns, OLD_NS, SURE)
    assert not is_racy(SEEN_NS + HOUR_NS, OLD_NS, VAGUE), "it stays there"


def test_the_clock_is_the_one_that_stamps_files_here(tmp_path):
    file = tmp_path / "f"
    for _ in range(50):
        fd = os.open(file, os.O_CREAT | os.O_WRONLY)
        try:
            before = now_at(fd)
            os.write(fd, b"x")
            assert before.earliest_ns <= os.fstat(fd).st_ctime_ns
            assert os.fstat(fd).st_ctime_ns <= now_at(fd).latest_ns
        finally:
            os.close(fd)


def test_the_clock_of_a_file_system_that_may_be_on_a_server_is_not_believed():
    fd = os.open("/proc", os.O_RDONLY)
    try:
        now = now_at(fd)
    finally:
        os.close(fd)
    assert now.latest_ns - now.earliest_ns >= HOUR_NS / 2
