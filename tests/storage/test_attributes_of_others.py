"""What another user owns keeps its mode and times, and that is lost, not failed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from haulage.model import Loss
from haulage.storage.tree.metadata.attributes import (
    Attributes,
    attributes_of,
    set_attributes,
)
from haulage.storage.tree.metadata.xattrs import XattrChanges
from tests.e2e.place import NOBODY


@contextmanager
def nobody() -> Iterator[None]:
    """Be nobody for a while, who may change what root owns only if it is open to all"""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[int]:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    directory = tmp_path / "shared"
    directory.mkdir()
    os.chmod(directory, 0o777)
    fd = os.open(directory, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    "changes", [XattrChanges({}, are_there=True), XattrChanges({})]
)
def test_mode_and_times_that_differ_are_lost(
    shared: int, changes: XattrChanges
) -> None:
    was = attributes_of(os.fstat(shared))
    with nobody():
        lost = set_attributes(shared, Attributes(0o750, 0, 0, 5, 6), changes)
    assert lost
    assert lost.kinds == Loss.MODE | Loss.TIME
    assert attributes_of(os.fstat(shared)) == was


def test_mode_and_times_that_are_as_they_should_be_are_not_lost(shared: int) -> None:
    was = attributes_of(os.fstat(shared))
    with nobody():
        assert set_attributes(shared, was) is None


def test_an_owner_who_is_not_root_sets_both(shared: int) -> None:
    os.fchown(shared, NOBODY, NOBODY)
    wanted = Attributes(0o700, NOBODY, NOBODY, 5, 6)
    with nobody():
        assert set_attributes(shared, wanted) is None
    assert attributes_of(os.fstat(shared)) == wanted
