"""The watch over mount points, by pages as small as they can be."""

import numpy as np
import pytest

from haulage.planning.changed_fields import Against
from haulage.planning.listing.mounts import AWAY, Devices, Mounts
from haulage.planning.match_listing import compare
from tests.engine_builders import entry, listed, recorded


def on(dev: int, ino: int, *paths: bytes):
    return [
        entry(path)._replace(dev=dev, ino=ino + at) for at, path in enumerate(paths)
    ]


ROOT = on(1, 1, b"")
WAS = [*ROOT, *on(2, 1, b"m/", b"m/a", b"m/b"), *on(1, 9, b"n/", b"z")]


def compared(now, was, above=(), away=()):
    """Compare entry by entry; return the paths that are gone, and those told."""
    against = Against(
        known=[recorded(one) for one in was],
        covers=lambda gone: np.ones(gone.num_rows, np.bool_),
        mounts=Mounts(above, away),
    )
    pages = list(compare([listed(one) for one in now], against))
    gone = [path for page in pages for path in page.gone["path"].to_pylist()]
    told = [lost for page in pages for lost in page.unreadable]
    assert all(lost.reason == AWAY for lost in told)
    assert [page.last for page in pages] == sorted(page.last for page in pages)
    return gone, [lost.path for lost in told]


@pytest.mark.parametrize("behind", [on(1, 9, b"n/", b"z"), []])
def test_a_mount_point_without_anything_known_below_is_away(behind):
    now = [*ROOT, *on(1, 70, b"m/", b"m/new"), *behind]
    gone, told = compared(now, WAS)
    assert told == [b"m/"]
    assert gone == ([] if behind else [b"n/", b"z"])


def test_one_known_entry_tells_that_it_was_moved():
    now = [*ROOT, *on(1, 70, b"m/", b"m/b"), *on(1, 9, b"n/", b"z")]
    assert compared(now, WAS) == ([b"m/a"], [])


def test_a_directory_that_was_emptied_is_no_mount_point():
    was = [*ROOT, *on(1, 5, b"m/", b"m/a"), *on(1, 9, b"z")]
    now = [*ROOT, *on(1, 70, b"m/"), *on(1, 9, b"z")]
    assert compared(now, was) == ([b"m/a"], [])


def test_a_device_that_has_another_number_is_no_other_file_system():
    """An entry keeps the number of the night when it was recorded."""
    now = [*ROOT, *on(1, 1, b"m/"), *on(1, 9, b"n/", b"z")]
    assert compared(now, WAS) == ([b"m/a", b"m/b"], [])


def test_what_is_mounted_elsewhere_now_is_still_there():
    now = [*ROOT, *on(3, 70, b"m/"), *on(1, 9, b"n/", b"z")]
    assert compared(now, WAS) == ([b"m/a", b"m/b"], [])


def test_a_run_that_goes_on_below_a_mount_point_knows_it():
    above = [Devices(b"", 1, 1)]
    rest = on(1, 9, b"n/", b"z")
    assert compared(rest, WAS[3:], above, away=[b"m/"]) == ([], [])
    inner = [*on(5, 5, b"n/p/", b"n/p/q"), *on(1, 10, b"z")]
    gone, told = compared([*on(1, 70, b"n/p/"), *rest[1:]], inner, above)
    assert (gone, told) == ([], [b"n/p/"])
