"""Into a target that folds names nothing is lost, and each name is as at the source."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.place import GUARDED, Place, grow_old, write
from tests.folding import folding

PLAIN: dict[str, Any] = {**GUARDED, "preserve": "mode,times"}


@pytest.fixture
def folded(place: Place) -> Iterator[Place]:
    """Return a synced place with some entries whose target folds case."""
    for name in ("Readme", "Dir/File", "Dir/Sub/x", "other"):
        write(place.source / name, name.encode())
    with folding(place.root / "behind", place.target):
        assert place.sync(**PLAIN).exit_code == 0
        grow_old()
        yield place


def tree(place: Place) -> dict[str, bytes]:
    root = place.root / "behind"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".haulage-state-")
    }


def wanted(place: Place) -> dict[str, bytes]:
    files = (path for path in place.source.rglob("*") if path.is_file())
    return {str(path.relative_to(place.source)): path.read_bytes() for path in files}


def test_a_rename_that_changes_only_case_ends_with_the_new_name(folded: Place) -> None:
    (folded.source / "Readme").rename(folded.source / "README")
    (folded.source / "Dir").rename(folded.source / "dir")
    (folded.source / "dir" / "Sub").rename(folded.source / "dir" / "SUB")
    for _ in range(2):
        assert folded.sync(**PLAIN).exit_code == 0
        assert tree(folded) == wanted(folded)
    assert folded.haulage("verify", folded.name).code == 0


def test_of_names_that_are_one_in_the_target_the_first_is_there_every_night(
    folded: Place,
) -> None:
    before = wanted(folded)
    write(folded.source / "MAKE", b"first")
    write(folded.source / "make", b"second")
    write(folded.source / "dir" / "file", b"in the later directory")
    for _ in range(2):
        summary = folded.sync(**PLAIN)
        assert (summary.exit_code, summary.failed, summary.deleted) == (1, 2, 0)
        reasons = folded.failures()
        assert reasons.keys() == {b"make", b"dir/"}
        assert "treats it as the same name as MAKE" in reasons[b"make"].reason
        assert tree(folded) == before | {"MAKE": b"first"}
    (folded.source / "MAKE").unlink()
    (folded.source / "dir" / "file").unlink()
    (folded.source / "dir").rmdir()
    assert folded.sync(**PLAIN).exit_code == 0
    assert tree(folded) == wanted(folded)
