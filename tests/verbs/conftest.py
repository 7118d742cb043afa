from dataclasses import dataclass
from pathlib import Path

import pytest

from haulage.verbs.attempt.attempt import Attempt
from tests.engine_builders import working
from tests.stores import carrying, files_shelf, objects_shelf
from tests.trees.compare import leftovers
from tests.verbs.ways import Way


@dataclass
class Ends:
    """Two trees and the work between them."""

    source: Path
    target: Path
    attempt: Attempt


@pytest.fixture
def ends(tmp_path):
    """Give an empty source and target; no test may leave a temporary in the target."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    with working(source, target) as attempt:
        yield Ends(source, target, attempt)
    assert leftovers(target) == []


@pytest.fixture(params=["to a bucket", "from a bucket"])
def way(request, tmp_path, moto_s3, bucket):
    """Give a directory and a bucket, one of them the source, and what is between."""
    tree = files_shelf(tmp_path)
    objects = objects_shelf(moto_s3, bucket(moto_s3), tmp_path)
    to_bucket = request.param == "to a bucket"
    source, target = (tree, objects) if to_bucket else (objects, tree)
    with carrying(source.open(), target.open()) as attempt:
        yield Way(source, target, attempt)
    assert leftovers(tmp_path / "tree") == []


@pytest.fixture(params=["two trees", "to a bucket", "from a bucket", "two buckets"])
def pair(request, tmp_path, moto_s3, bucket):
    """Give two stores of each kind of pair, and what is between."""
    if request.param == "two trees":
        source, target = (files_shelf(tmp_path / end) for end in ("source", "target"))
        roots = tmp_path / "source" / "tree", tmp_path / "target" / "tree"
        with working(*roots) as attempt:
            yield Way(source, target, attempt)
        assert leftovers(roots[1]) == []
        return
    objects = objects_shelf(moto_s3, bucket(moto_s3), tmp_path)
    tree = files_shelf(tmp_path)
    source = tree if request.param == "to a bucket" else objects
    target = tree if request.param == "from a bucket" else objects
    is_one = source is target
    of_source = source.open(prefix="from") if is_one else source.open()
    of_target = target.open(prefix="to") if is_one else target.open()
    with carrying(of_source, of_target) as attempt:
        yield Way(source, target, attempt)
    assert leftovers(tmp_path / "tree") == []
