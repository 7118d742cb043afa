"""Names of one file go into a bucket apart, and come back as one file."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from haulage.catalog.runs.shards import ShardState
from haulage.config.policy import Dataset, Policy
from haulage.config.store_options import StoreOptions
from haulage.model import Pass, Verified
from haulage.run import sequence
from haulage.run.context.runner import Summary, ThreadRunner
from tests.e2e.buckets.shelf import SMALL, Count, Route, Shelf, Watch
from tests.e2e.buckets.test_bucket_changes import OURS, restamp
from tests.e2e.place import FEW, GUARDED, Place, write
from tests.e2e.processes import kill, of_place, wait_until
from tests.trees.compare import Aspect, assert_same, differences, leftovers
from tests.trees.walk import entries_of

KIN = OURS | {"hardlink": "3-4"}


class Way(NamedTuple):
    """One end into the other, in this process."""

    place: Place
    source: Path | Shelf
    target: Path | Shelf

    def sync(self, **policy: Any) -> Summary:
        """Sync without any failure, by small shards."""
        small = {"shards": {"max_entries": 3}}
        wanted = Policy.model_validate({**FEW, **small, **GUARDED, **policy})
        ends: dict[str, Any] = {}
        for name in ("source", "target"):
            end = getattr(self, name)
            ends[name] = end.url if isinstance(end, Shelf) else str(end)
            if isinstance(end, Shelf):
                server = end.server
                reached = StoreOptions(endpoint=server.endpoint, region=server.region)
                ends[f"{name}_store"] = reached
        dataset = Dataset(name=self.place.name, policy=wanted, **ends)
        summary = sequence.sync(
            dataset, ThreadRunner(), catalog_url=self.place.catalog_url
        )
        assert (summary.exit_code, summary.failed) == (0, 0), self.place.failures()
        return summary


class Ways(NamedTuple):
    """A directory into a bucket, and that into another directory."""

    up: Way
    down: Way

    @property
    def source(self) -> Path:
        assert isinstance(self.up.source, Path)
        return self.up.source

    @property
    def back(self) -> Path:
        assert isinstance(self.down.target, Path)
        return self.down.target

    def night(self, **policy: Any) -> Summary:
        """Sync both and look whether the last directory is like the first."""
        self.up.sync()
        summary = self.down.sync(**policy)
        assert_same(self.source, self.back)
        assert leftovers(self.back) == []
        return summary

    def link(self, old: str, *names: str) -> None:
        for name in names:
            full = self.source / name
            full.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.source / old, full)


def ways_by(place: Place, shelf: Shelf) -> Ways:
    up = Way(replace(place, name="up"), place.source, shelf)
    return Ways(up, way_down(place, shelf))


def way_down(place: Place, shelf: Shelf) -> Way:
    return Way(replace(place, name="down"), shelf, place.root / "back")


@pytest.fixture
def linked(place: Place, moto_shelf: Shelf) -> Ways:
    """Give two groups that lie across directories, and came back."""
    ways = ways_by(place, moto_shelf)
    write(ways.source / "a" / "one", b"first")
    ways.link("a/one", "a/two", "b/c/three", "z")
    write(ways.source / "b" / "other", b"second")
    ways.link("b/other", "a/other")
    write(ways.source / "b" / "single", b"alone")
    summary = ways.night()
    assert (summary.copied, summary.made) == (7, 4)  # directories; links are copies
    return ways


def test_a_still_night_asks_for_no_object_and_does_nothing(
    linked: Ways, watch: Watch, moto_shelf: Shelf
) -> None:
    near, passing = watch.before(moto_shelf)
    place = linked.down.place
    way = Way(replace(place, name="again"), near, place.root / "again")
    way.sync()
    for _ in range(2):
        count = Count(passing)
        summary = way.sync()
        assert summary.unchanged == summary.listed
        assert count.of_objects() == []
        assert place.shards_of(place.last_run().id) == []


@pytest.mark.torture
def test_a_group_grows_and_shrinks(linked: Ways) -> None:
    linked.link("z", "new/four", "b/five")
    assert linked.night().copied == 2
    os.unlink(linked.source / "a" / "one")
    assert linked.night().copied == 0
    os.unlink(linked.source / "a" / "other")  # the last other name
    os.chmod(linked.source / "b" / "other", 0o600)
    linked.night()


@pytest.mark.torture
def test_a_group_is_split_and_two_become_one(linked: Ways) -> None:
    source = linked.source
    for name in ("a/one", "a/two"):
        os.unlink(source / name)
    write(source / "a" / "one", b"first")
    linked.link("a/one", "a/two")
    linked.night()
    for name in ("a/other", "b/other"):
        os.unlink(source / name)
        linked.link("z", name)
    linked.night()
    for name in ("a/two", "a/other", "b/other", "b/c/three"):
        os.unlink(source / name)
        write(source / name, b"first")
    linked.night()


def test_a_change_through_one_name_reaches_all(linked: Ways) -> None:
    with (linked.source / "z").open("r+b") as opened:
        opened.write(b"FIRST AND MORE")
    assert linked.night().copied == 4
    os.chmod(linked.source / "a" / "two", 0o640)
    linked.night()
    os.utime(linked.source / "b" / "other", ns=(5, -5))
    linked.night()


def test_attributes_of_a_group_change_without_its_content(
    place: Place, moto_shelf: Shelf, watch: Watch
) -> None:
    for name in ("a", "b", "c"):
        moto_shelf.put(name, Metadata=KIN)
    near, passing = watch.before(moto_shelf)
    down = way_down(place, near)
    down.sync()
    for name in ("a", "b", "c"):
        restamp_later(moto_shelf, name, **KIN | {"mode": "100600"})
    count = Count(passing)
    assert down.sync().copied_bytes == 0
    asked = [seen for seen in count.of_objects() if not seen.path.endswith("data/")]
    assert {seen.method for seen in asked} == {"HEAD"}
    back = place.root / "back"
    assert [os.stat(back / name).st_mode & 0o777 for name in "abc"] == [0o600] * 3
    assert os.stat(back / "a").st_nlink == 3


def test_a_server_that_keeps_keys_as_files_gives_groups_back(
    place: Place, rclone_shelf: Shelf
) -> None:
    ways = ways_by(place, rclone_shelf)
    write(ways.source / "one", b"first")
    ways.link("one", "two", "z")
    ways.up.sync()
    ways.down.sync()
    for name in ("two", "z"):
        assert (ways.back / "one").samefile(ways.back / name)


@pytest.mark.torture
def test_nothing_is_changed_through_a_foreign_name_in_the_target(
    linked: Ways, tmp_path: Path
) -> None:
    os.link(linked.back / "b" / "single", tmp_path / "foreign")
    os.link(linked.back / "z", tmp_path / "kept")
    before = [os.stat(tmp_path / name).st_mode for name in ("foreign", "kept")]
    for name in ("b/single", "z"):
        os.chmod(linked.source / name, 0o600)
    linked.up.sync()
    linked.down.sync()
    after = [os.stat(tmp_path / name).st_mode for name in ("foreign", "kept")]
    assert after == before
    (tmp_path / "foreign").unlink()
    (tmp_path / "kept").unlink()
    assert_same(linked.source, linked.back)


def test_names_are_joined_only_where_we_wrote_so_and_all_else_is_equal(
    place: Place, moto_shelf: Shelf
) -> None:
    stranger = {name: value for name, value in KIN.items() if name != "haulage"}
    moto_shelf.put("a", Metadata=KIN)
    moto_shelf.put("b", Metadata=KIN)
    moto_shelf.put("foreign-1", Metadata=stranger)
    moto_shelf.put("foreign-2", Metadata=stranger)
    moto_shelf.put("other-bytes", b"CONTENT", Metadata=KIN)
    moto_shelf.put("other-mode", Metadata=KIN | {"mode": "100604"})
    moto_shelf.put("other-time", Metadata=KIN | {"mtime": "7.5"})
    moto_shelf.put("torn", Metadata=KIN | {"hardlink": "3"})
    down = way_down(place, moto_shelf)
    down.sync()
    back = place.root / "back"
    links = {path.name: path.stat().st_nlink for path in entries_of(back)}
    assert (back / "a").samefile(back / "b")
    assert {name for name, count in links.items() if count > 1} == {"a", "b"}
    assert down.sync().unchanged == down.sync().listed


def test_a_name_that_leaves_its_group_by_metadata_alone_is_a_file_of_its_own(
    place: Place, moto_shelf: Shelf
) -> None:
    for name in ("a", "b", "c"):
        moto_shelf.put(name, Metadata=KIN)
    down = way_down(place, moto_shelf)
    down.sync()
    back = place.root / "back"
    inode = os.stat(back / "a").st_ino
    restamp_later(moto_shelf, "c", **KIN | {"hardlink": "3-5"})
    down.sync()
    assert os.stat(back / "a").st_ino == os.stat(back / "b").st_ino == inode
    assert os.stat(back / "c").st_nlink == 1


def restamp_later(shelf: Shelf, key: str, **metadata: str) -> None:
    """Give an object other metadata, until its time of change is another one."""
    before = shelf.head(key)["LastModified"]

    def is_later() -> bool:
        restamp(shelf, key, **metadata)
        return bool(shelf.head(key)["LastModified"] > before)

    wait_until(is_later)


@pytest.mark.torture
def test_an_adopted_target_gets_the_right_groups_and_keeps_them(linked: Ways) -> None:
    back, place = linked.back, linked.down.place
    for name, other in (("z", "b/other"), ("b/single", "a/one")):
        (back / name).unlink()
        os.link(back / other, back / name)
    adopting = linked._replace(
        down=linked.down._replace(place=replace(place, name="adopts"))
    )
    adopting.night(share_target=True)
    checked = adopting.night(share_target=True, compare="checksum")
    assert (checked.copied, checked.updated) == (0, 0)


def test_all_names_of_a_split_object_are_one_file(
    place: Place, moto_shelf: Shelf
) -> None:
    ways = ways_by(place, moto_shelf)
    write(ways.source / "large", os.urandom(17 << 20))
    ways.link("large", "x/large")
    policy: dict[str, Any] = {"shards": {"max_bytes": 16 << 20}}
    ways.up.sync(**policy)
    ways.down.sync(**policy, verify="metadata")
    assert_same(ways.source, ways.back)


def test_deletes_and_verification_know_every_name(linked: Ways) -> None:
    place = linked.down.place
    assert place.haulage("verify", "down").code == 0, place.failures()
    (linked.back / "z").write_bytes(b"fIrst")
    found = (linked.source / "z").stat()
    os.utime(linked.back / "z", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert place.haulage("verify", "down").code == 1
    assert set(place.failures()) == {b"a/one", b"a/two", b"b/c/three", b"z"}
    assert linked.night().copied == 4
    assert place.manifest()[b"z"]["verified"] == Verified.CHECKSUM
    for name in ("a/one", "z"):
        os.unlink(linked.source / name)
    assert linked.night().deleted == 2


@pytest.mark.torture
def test_a_proof_that_is_asked_for_later_copies_nothing_and_keeps_groups(
    place: Place, moto_shelf: Shelf
) -> None:
    ways = ways_by(place, moto_shelf)
    write(ways.source / "one", b"first")
    ways.link("one", "two", "z")
    ways.night(verify="none")
    proven = ways.night(verify="checksum")
    assert (proven.copied, proven.verified) == (0, 3)
    still = ways.down.sync()
    assert still.unchanged == still.listed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
def test_what_can_not_be_linked_stays_apart_and_is_told_once(linked: Ways) -> None:
    linked.link("z", "mounted/one", "mounted/two")
    mount = linked.back / "mounted"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "none", str(mount)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        linked.up.sync()
        summary = linked.down.sync()
        assert (summary.copied, summary.lost) == (2, 2)
        assert any("2 entries lost their hard link" in note for note in summary.notes)
        lost = linked.down.place.failures()[b"mounted/one"]
        assert lost.status == "lost"
        assert "not kept: Invalid cross-device link" in lost.reason
        no_links = frozenset({Aspect.LINKS})
        assert differences(linked.source, linked.back, ignore=no_links) == []
        still = linked.down.sync()
        assert (still.unchanged, still.lost) == (still.listed, 0)
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.fixture
def killed(place: Place, moto_shelf: Shelf) -> Ways:
    """Give many names of one file, and a run that was killed while it linked them."""
    ways = ways_by(place, moto_shelf)
    write(ways.source / "000", b"many")
    ways.link("000", *(f"{number % 7}/{number}" for number in range(120)))
    ways.up.sync(shards={"max_entries": 100})
    down = Route(ways.down.place, moto_shelf, ways.back, (*SMALL, "--shard-entries=2"))
    process = down.start()
    home = place.home
    wait_until(lambda: any(home.glob("work/*/outcomes/links-*.parquet")), process)
    kill(process.pid)
    process.communicate()
    wait_until(lambda: not of_place(place))
    shards = place.shards_of(place.last_run().id)
    links = [shard for shard in shards if shard.pass_ is Pass.LINKS]
    assert any(shard.state is not ShardState.DONE for shard in links)
    return ways


def test_a_run_killed_while_it_links_goes_on(killed: Ways) -> None:
    place = killed.down.place
    assert place.haulage("resume", place.last_run().id).code == 0
    assert_same(killed.source, killed.back)
    assert leftovers(killed.back) == []
    still = killed.down.sync()
    assert still.unchanged == still.listed


@pytest.mark.torture
def test_a_run_killed_while_it_links_is_finished_by_the_next(killed: Ways) -> None:
    killed.link("000", "and/another")
    assert killed.night(shards={"max_entries": 100}).copied == 1
    still = killed.down.sync()
    assert still.unchanged == still.listed
