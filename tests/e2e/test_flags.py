"""Files that may not change: told at the source, named at the target."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.place import GUARDED, Place, grow_old, write
from tests.trees.compare import assert_same, leftovers

Chattr = Callable[[str, Path], None]


@pytest.fixture
def chattr(tmp_path: Path) -> Iterator[Chattr]:
    """Give a call that sets flags, which are taken off again at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root sets these flags")
    changed: list[Path] = []

    def change(flag: str, path: Path) -> None:
        changed.append(path)
        command = ["chattr", flag, str(path)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no flags on this file system: {done.stderr!r}")

    yield change
    for path in changed:
        subprocess.run(["chattr", "-i", "-a", str(path)], check=False)


def test_flags_of_the_source_are_lost_and_listed_once(
    place: Place, chattr: Chattr
) -> None:
    source = place.source
    for name in ("immutable", "plain", "dir/file"):
        write(source / name)
    large = write(source / "large", bytes(17 << 20))
    chattr("+i", source / "immutable")
    chattr("+a", large)
    chattr("+ia", source / "dir")
    grow_old()
    summary = place.sync(shards={"max_bytes": "64K"})
    assert (summary.exit_code, summary.failed, summary.lost) == (0, 0, 3)
    lost = {path: loss.reason for path, loss in place.failures().items()}
    assert lost == {
        b"immutable": "immutable flag not kept",
        b"large": "append-only flag not kept",
        b"dir/": "immutable and append-only flag not kept",
    }
    assert "3 entries lost a flag" in summary.notes[0]
    assert_same(source, place.target)
    again = place.sync(shards={"max_bytes": "64K"})
    assert (again.copied, again.updated, again.lost) == (0, 0, 0)


def test_who_does_not_keep_modes_is_told_of_no_flag(
    place: Place, chattr: Chattr
) -> None:
    chattr("+i", write(place.source / "immutable"))
    assert place.sync(preserve=["times"]).lost == 0


def test_a_target_that_may_not_change_is_a_listed_failure_with_the_way_out(
    place: Place, chattr: Chattr
) -> None:
    source, target = place.source, place.target
    for name in ("replaced", "moded", "gone", "dir/old", "free"):
        write(source / name)
    place.sync()
    for name in ("replaced", "moded", "gone", "dir"):
        chattr("+i", target / name)
    for name in ("replaced", "dir/new", "free"):
        write(source / name, b"another")
    os.chmod(source / "moded", 0o600)
    (source / "gone").unlink()
    grow_old()
    summary = place.sync(**GUARDED)
    assert (summary.exit_code, summary.copied) == (1, 1)
    told = place.failures()
    assert {b"replaced", b"moded", b"gone", b"dir/new"} <= told.keys()
    for path in (b"replaced", b"moded", b"gone"):
        assert f"{path.decode()} is immutable in the target" in told[path].reason
        assert "'chattr -i -a'" in told[path].reason
    assert "dir/ is immutable in the target" in told[b"dir/new"].reason
    assert leftovers(target) == []
    for name in ("replaced", "moded", "gone", "dir"):
        subprocess.run(["chattr", "-i", str(target / name)], check=True)
    assert place.sync(**GUARDED).exit_code == 0
    assert_same(source, target)
