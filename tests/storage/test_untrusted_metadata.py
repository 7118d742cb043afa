import os

import pytest

from haulage.model import Kind, Loss
from haulage.storage.buckets.objects.untrusted_metadata import harmless, leads_outside
from haulage.storage.store import Seen
from tests.engine_builders import entry

MINE = {"uid": os.geteuid(), "gid": os.getegid()}


def link(path: bytes, target: bytes):
    return entry(path, kind=Kind.SYMLINK, mode=0o777, target=target, **MINE)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"l", b"/etc"),
        (b"l", b".."),
        (b"l", b"../x"),
        (b"a/l", b"../.."),
        (b"a/l", b"../../x"),
        (b"a/l", b"./.././../x"),
        (b"a/b/c/l", b"x/../y"),  # x may be a link to the root
        (b"a/l", b"x//.."),
    ],
)
def test_a_link_that_may_lead_above_its_root_leads_outside(path, target):
    assert leads_outside(link(path, target))
    seen = harmless(Seen(link(path, target)))
    assert (seen.entry.kind, seen.entry.mode) == (Kind.FILE, 0o644)
    assert seen.entry.target is None
    assert seen.unkept is not None
    assert seen.unkept.kinds == Loss.UNTRUSTED
    assert "leads outside" in seen.unkept.words


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"l", b"x"),
        (b"l", b"."),
        (b"a/l", b".."),
        (b"a/b/l", b"../../x/y"),
        (b"l", b"..."),
    ],
)
def test_a_link_that_stays_below_its_root_is_taken_over(path, target):
    seen = Seen(link(path, target))
    assert harmless(seen) is seen


def test_set_id_bits_and_a_foreign_owner_are_not_taken_over_but_told():
    strange = entry(b"f", mode=0o7755, uid=MINE["uid"], gid=MINE["gid"] + 1)
    seen = harmless(Seen(strange))
    assert (seen.entry.uid, seen.entry.gid) == (MINE["uid"], MINE["gid"])
    assert seen.entry.mode == 0o1755
    assert seen.unkept is not None
    assert "mode 7755" in seen.unkept.words
    assert f"owner {strange.uid}:{strange.gid}" in seen.unkept.words


def test_what_asks_for_nothing_is_as_it_was():
    seen = Seen(entry(b"d/", mode=0o1777, **MINE))
    assert harmless(seen) is seen
