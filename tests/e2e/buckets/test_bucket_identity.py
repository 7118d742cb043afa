"""A tree goes into a bucket and comes back as it was."""

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.buckets.conftest import Shelve
from tests.e2e.buckets.shelf import Route, Shelf
from tests.e2e.place import Place, write
from tests.servers.s3 import S3Server
from tests.trees.compare import assert_same, leftovers


def there_and_back(place: Place, source: Path, shelf: Shelf) -> Path:
    """Sync a tree into the shelf and from there into a new directory."""
    Route(place, source, shelf).synced()
    back = place.root / "back"
    summary = Route(place.with_source(back), shelf, back).sync("--name", "back")
    assert summary.code == 0, summary.text
    return back


@pytest.mark.parametrize("name", ["moto_s3", "localstack"])
def test_a_nasty_tree_comes_back_from_a_bucket_as_it_was(
    place: Place,
    nasty_tree: Path,
    name: str,
    shelve: Shelve,
    request: pytest.FixtureRequest,
) -> None:
    server: S3Server = request.getfixturevalue(name)
    back = there_and_back(place, nasty_tree, shelve(server))
    assert_same(nasty_tree, back)
    assert leftovers(back) == []
