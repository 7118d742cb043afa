"""The command syncs into a cloud and back out of it, by what its options say."""

import pytest

from tests.e2e.place import Place, write
from tests.trees.compare import assert_same


@pytest.fixture
def filled(tmp_path) -> Place:
    """Return a place with a source of a few files."""
    made = Place(tmp_path, f"sqlite:///{tmp_path / 'catalog.db'}", tmp_path / "source")
    for name in ("a", "d/b", "d/é"):
        write(made.source / name, name.encode())
    return made


def test_a_tree_comes_back_from_a_cloud_that_an_option_names(filled, cloud):
    endpoint, back = cloud.place.endpoint, filled.root / "back"
    there = filled.haulage(
        *("sync", filled.source, f"{cloud.place.url}/data", "--name", "there"),
        *("--target-endpoint", endpoint, "--json"),
    )
    assert there.code == 0, (there.text, there.out)
    returned = filled.haulage(
        *("sync", f"{cloud.place.url}/data", back, "--name", "back"),
        *("--source-endpoint", endpoint, "--trust-metadata", "--json"),
    )
    assert returned.code == 0, (returned.text, returned.out)
    assert_same(filled.source, back)
