"""Objects that come to a Lustre get layouts by their size."""

import os
from dataclasses import replace

import pytest

from tests.e2e.buckets.shelf import Route, Shelf
from tests.e2e.place import Place
from tests.lustre.standin import make_lustre, mdt_of, striping

MIB = 1 << 20


@pytest.mark.skipif(os.geteuid() != 0, reason="the stand-in needs root")
def test_objects_that_come_to_a_lustre_are_laid_out_by_their_size(
    place: Place, moto_shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    lustre = make_lustre(place.root / "lfs", [place.target])
    monkeypatch.setenv("PATH", f"{lustre.bin}:{os.environ['PATH']}")
    place.target.mkdir()
    moto_shelf.put("a/large", bytes(20 * MIB))
    moto_shelf.put("b/middle", bytes(2 * MIB))
    moto_shelf.put("b/small")
    route = Route(replace(place, name="in"), moto_shelf, place.target)
    lustre.configure(remote_dirs=False)
    refused = route.sync("--stripe", "keep")
    assert refused.code == 2
    assert "is a bucket" in refused.text
    rules = "0=1@disk,1M=2,16M=4x4M"
    summary = route.synced("--stripe", rules, "--mdts", "--shard-bytes", "16M")
    assert summary["lost"] == 2  # both directories
    assert "not made on MDT" in route.reasons()[b"a/"]
    assert mdt_of(place.target / "a") is None
    assert striping(place.target) == [(1, 0, "disk")]
    assert striping(place.target / "a/large") == [(4, 4 * MIB, "")]
    assert striping(place.target / "b/middle") == [(2, MIB, "")]
    assert striping(place.target / "b/small") == []
    assert (place.target / "a/large").stat().st_size == 20 * MIB
