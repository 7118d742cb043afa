"""Layouts between two Lustres, which a stand-in for `lfs` makes of ordinary trees."""

import os
import stat
from pathlib import Path

import pytest

from haulage.errors import FatalError, RefusedError
from haulage.run import sequence
from haulage.run.context.runner import ThreadRunner
from haulage.run.guards.preflight import check_ends
from tests.e2e.place import GUARDED, Place, grow_old, write
from tests.lustre.standin import Lustre, make_lustre, mdt_of, striping
from tests.trees.compare import Aspect, assert_same, leftovers
from tests.trees.walk import entries_of

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="the stand-in keeps layouts where only root may write"
)
MIB = 1 << 20
LARGE = 2 * MIB
KEEP = "0=keep,1M=keep"  # as `keep`, but small files are large enough


@pytest.fixture
def lustre(place: Place, monkeypatch: pytest.MonkeyPatch) -> Lustre:
    """Take the place for one Lustre, and put its `lfs` on the PATH."""
    made = make_lustre(place.root / "lfs", [place.root])
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    return made


def large(lustre: Lustre, path: Path, *words: str, size: int = LARGE) -> None:
    """Write a file that was given a layout before its first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if words:
        lustre.lfs("setstripe", *words, path)
    write(path, os.urandom(4096) * (size // 4096))


def assert_same_but_layouts(place: Place) -> None:
    assert_same(place.source, place.target, ignore=frozenset({Aspect.XATTRS}))


def test_without_being_asked_for_layouts_lfs_is_never_started(
    place: Place, lustre: Lustre
) -> None:
    large(lustre, place.source / "x", "-c", "4")
    assert place.sync().failed == 0
    assert lustre.calls() == []
    assert striping(place.target / "x") == []  # nor is the attribute copied


def test_layouts_of_large_files_and_defaults_of_directories_are_kept(
    place: Place, lustre: Lustre
) -> None:
    large(lustre, place.source / "a/x", "-c", "4", "-S", "4M", "-p", "flash")
    large(
        lustre, place.source / "a/y", "-E", "1048576", "-c", "1", "-E", "-1", "-c", "2"
    )
    large(lustre, place.source / "a/small", "-c", "3", size=4096)
    (place.source / "b/c").mkdir(parents=True)
    (place.source / "b/plain").mkdir()
    lustre.lfs("setstripe", "-c", "2", "-p", "disk", place.source / "b")
    lustre.lfs("setstripe", "-d", place.source / "b/plain")
    summary = place.sync(stripe=KEEP)
    assert (summary.failed, summary.lost) == (0, 0)
    assert_same_but_layouts(place)
    assert striping(place.target / "a/x") == [(4, 4 * MIB, "flash")]
    assert striping(place.target / "a/y") == [(1, MIB, ""), (2, MIB, "")]
    assert striping(place.target / "a/small") == []
    assert striping(place.target / "b") == [(2, 0, "disk")]
    assert "count:  2" in lustre.lfs("getstripe", "-d", "-R", place.target / "b/c")
    assert "count:  0" in lustre.lfs("getstripe", "-d", "-R", place.target / "b/plain")


def test_rules_by_size_give_layouts_of_their_own(place: Place, lustre: Lustre) -> None:
    large(lustre, place.source / "d/small", size=4096)
    large(lustre, place.source / "d/middle", "-c", "4", size=MIB)
    large(lustre, place.source / "d/large", size=3 * MIB)
    place.sync(stripe="0=1@disk,1M=2,3M=allx4M@flash")
    assert_same_but_layouts(place)
    assert striping(place.target) == [(1, 0, "disk")]
    assert striping(place.target / "d/small") == []
    assert striping(place.target / "d/middle") == [(2, MIB, "")]
    assert striping(place.target / "d/large") == [(4, 4 * MIB, "flash")]


def test_what_the_target_can_not_lay_out_so_is_made_and_told(
    place: Place, lustre: Lustre
) -> None:
    large(lustre, place.source / "pool", "-c", "2", "-p", "flash")
    large(lustre, place.source / "wide", "-c", "4")
    lustre.configure(pools=[], osts=[0, 1])
    summary = place.sync(stripe="1M=keep")
    assert (summary.failed, summary.lost) == (0, 2)
    assert "2 entries lost their layout on Lustre" in " ".join(summary.notes)
    assert_same_but_layouts(place)
    assert striping(place.target / "pool") == [(2, MIB, "")]
    reasons = {path: failure.reason for path, failure in place.failures().items()}
    assert "pool 'flash fsname fs' does not exist" in reasons[b"pool"]
    assert reasons[b"wide"] == ("layout not kept: it is 2x1048576 instead of 4x1048576")


def test_setstripe_that_is_restricted_to_others_is_told(
    place: Place, lustre: Lustre
) -> None:
    large(lustre, place.source / "x")
    (place.source / "x").chmod(0o640)
    lustre.configure(restricted=True)
    assert place.sync(stripe="1M=4").lost == 1
    assert_same_but_layouts(place)
    assert "instead of 4" in place.failures()[b"x"].reason


def test_a_split_file_gets_its_layout_once_however_many_fill_it(
    place: Place, lustre: Lustre
) -> None:
    large(lustre, place.source / "x", "-c", "4", "-p", "flash", size=40 * MIB)
    summary = place.sync(
        stripe=KEEP, movers=3, shards={"max_bytes": MIB, "max_entries": 10}
    )
    assert (summary.failed, summary.lost) == (0, 0)
    assert_same_but_layouts(place)
    assert striping(place.target / "x") == [(4, MIB, "flash")]
    assert leftovers(place.target) == []


def test_a_split_file_that_can_not_be_laid_out_so_is_told_once(
    place: Place, lustre: Lustre
) -> None:
    large(lustre, place.source / "x", "-c", "4", "-p", "flash", size=20 * MIB)
    lustre.configure(pools=[])
    summary = place.sync(stripe=KEEP, movers=2, shards={"max_bytes": MIB})
    assert (summary.failed, summary.lost) == (0, 1)
    assert "instead of 4x1048576@flash" in place.failures()[b"x"].reason


def test_from_night_to_night_only_what_is_made_anew_is_laid_out(
    place: Place, lustre: Lustre
) -> None:
    large(lustre, place.source / "a/x", "-c", "4")
    place.sync(stripe=KEEP)
    grow_old()
    lustre.forget()
    place.sync(stripe=KEEP)
    assert lustre.calls("setstripe") == []
    assert [words[-1] for words in lustre.calls()] == ["."] * 4  # both roots, twice
    (place.source / "a/x").unlink()
    large(lustre, place.source / "a/x", "-c", "2", size=3 * MIB)
    lustre.lfs("setstripe", "-c", "3", place.source / "a")
    assert place.sync(stripe=KEEP).copied == 1
    assert_same_but_layouts(place)
    assert striping(place.target / "a/x") == [(2, MIB, "")]
    assert striping(place.target / "a") == [(3, 0, "")]


def test_a_run_that_lost_its_lfs_goes_on_with_the_turns_when_it_is_back(
    place: Place, lustre: Lustre
) -> None:
    for name in "abcdef":
        write(place.source / name / "x", b"x")
    lustre.configure(gone_after_mkdirs=3)
    with pytest.raises(FatalError, match="lfs is not on the PATH"):
        place.sync(mdts=True)
    lustre.install()
    sequence.resume(place.last_run().id, ThreadRunner(), catalog_url=place.catalog_url)
    assert [mdt_of(place.target / name) for name in "abcdef"] == [0, 1, 0, 1, 0, 1]
    assert_same_but_layouts(place)
    assert leftovers(place.target) == []


def test_first_level_directories_alternate_over_the_mdts_night_after_night(
    place: Place, lustre: Lustre
) -> None:
    for name in ("a/deep", "b", "c"):
        (place.source / name).mkdir(parents=True)
    lustre.configure(mdts=[0, 2], inactive_mdts=[1])
    place.sync(mdts=True)
    assert [mdt_of(place.target / name) for name in "abc"] == [0, 2, 0]
    assert mdt_of(place.target / "a/deep") is None
    assert stat.S_IMODE((place.target / "a").stat().st_mode) == 0o755
    for name in "de":
        (place.source / name).mkdir()
    (place.source / "a").chmod(0o700)
    place.sync(mdts=True)
    assert [mdt_of(place.target / name) for name in "abcde"] == [0, 2, 0, 2, 0]
    assert_same_but_layouts(place)
    (place.source / "b").rmdir()
    assert place.sync(mdts=True, **GUARDED).deleted == 1


def test_many_movers_take_turns(place: Place, lustre: Lustre) -> None:
    for number in range(12):
        write(place.source / f"{number:02}/x", b"x")
    place.sync(mdts=True, movers=3, shards={"max_entries": 4})
    made = [mdt_of(path) for path in entries_of(place.target)]
    assert sorted(map(str, made)) == ["0"] * 6 + ["1"] * 6


def test_where_directories_on_other_mdts_are_refused_plain_ones_are_made(
    place: Place, lustre: Lustre
) -> None:
    write(place.source / "a/x", b"x")
    lustre.configure(remote_dirs=False)
    summary = place.sync(mdts=True)
    assert (summary.failed, summary.lost) == (0, 1)
    assert "not made on MDT 0" in place.failures()[b"a/"].reason
    assert_same_but_layouts(place)


def test_an_end_that_is_no_lustre_is_refused_before_anything_is_touched(
    place: Place, lustre: Lustre
) -> None:
    write(place.source / "x", b"x")
    lustre.configure(roots=[str(place.source)])
    ended = place.sync_by_command("--stripe", "keep")
    assert ended.code == 2
    assert f"{place.target} is on no Lustre" in ended.text
    lustre.configure(roots=[str(place.root)])
    from_bucket = place.dataset(stripe="keep").model_copy(
        update={"source": "s3://bucket"}
    )
    with pytest.raises(RefusedError, match="is a bucket"):
        check_ends(from_bucket)
    assert not place.target.exists()


def test_without_lfs_layouts_are_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for policy in ({"stripe": "1G=4"}, {"mdts": True}):
        with pytest.raises(RefusedError, match="lfs is not on the PATH"):
            place.sync(**policy)
    assert not place.target.exists()


def test_rules_that_say_nothing_are_refused(place: Place) -> None:
    ended = place.sync_by_command("--stripe", "1G=many")
    assert ended.code == 2
    assert "'1G=many' is not a rule for stripes; write keep" in ended.text
