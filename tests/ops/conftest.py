import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from haulage.verbs.attempt import Attempt
from tests.engine_builders import working
from tests.ops.relaying import Way
from tests.stores import carrying, files_shelf, objects_shelf
from tests.trees.compare import leftovers


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


@pytest.fixture
def commons():
    """Give an empty directory that every user may enter and change."""
    where = Path(tempfile.mkdtemp(prefix="haulage-test-"))
    where.chmod(0o777)
    yield where
    subprocess.run(["rm", "-rf", str(where)], check=True)


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
