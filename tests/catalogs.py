"""A fresh catalog for a test, once on SQLite and once on Postgres."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import make_url

from haulage.catalog import datasets
from haulage.catalog.datasets import DatasetRow
from haulage.catalog.db.engine import Catalog, open_catalog
from haulage.catalog.db.patience import patient
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run
from haulage.catalog.runs.shards import NewShard
from haulage.config.policy import Dataset
from haulage.model import MANIFEST, Pass
from haulage.private import make_file


@pytest.fixture(params=["sqlite", "postgres"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    return url_of(request, tmp_path)


def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of the kind that `request` has as its
    parameter."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    return str(request.getfixturevalue("postgres").fresh_database())


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """Return an open, empty catalog."""
    migrate_early(catalog_url)
    opened = open_catalog(catalog_url)
    yield opened
    opened.engine.dispose()


def migrate_early(url: str) -> None:
    """Make the file of a SQLite catalog that is not there, as opening it would; its
    migrations take longer than most tests."""
    file = Path(make_url(url).database or "")
    if url.startswith("sqlite:") and not file.exists():
        make_file(file)
        file.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "catalog.db"
        open_catalog(f"sqlite:///{file}").engine.dispose()
        return file.read_bytes()


@patient
def recorded(catalog: Catalog, dataset: Dataset) -> DatasetRow:
    """Record a dataset, as a run that begins does."""
    with catalog.begin() as connection:
        datasets.record(connection, dataset)
    return datasets.find(catalog, dataset.name)


@pytest.fixture
def home(catalog: Catalog) -> DatasetRow:
    """Return a dataset in the catalog."""
    dataset = Dataset(name="home", source="/data/home", target="/backup/home")
    return recorded(catalog, dataset)


@pytest.fixture
def run(catalog: Catalog, home: DatasetRow) -> Run:
    """Return an active run of the dataset."""
    return runs.begin(catalog, home.dataset, trigger="test")


def new_shard(seq: int, pass_: Pass = Pass.COPY, round_: int = 0) -> NewShard:
    """Return a shard of ten entries and a thousand bytes."""
    first, last = b"%06d/a" % seq, b"%06d/z" % seq
    return NewShard(pass_, round_, seq, 0, f"{seq}.parquet", 10, 1000, first, last)


def manifest_table(paths: Sequence[bytes], size: int = 7) -> pa.Table:
    """Return manifest entries of files with these paths."""
    dice = random.Random(len(paths))
    same = {"kind": 1, "mode": 0o644, "uid": 0, "gid": 0, "size": size, "mtime_s": -1}
    same |= {"mtime_ns": 999_999_999, "ctime_s": 1 << 40, "ctime_ns": 0, "nlink": 1}
    same |= {"dev": (1 << 64) - 1, "ino": (1 << 64) - 1, "verified": 2, "racy": False}
    columns: dict[str, list[object]] = {k: [v] * len(paths) for k, v in same.items()}
    columns["path"] = list(paths)
    for name in ("target", "etag", "made"):
        columns[name] = [None] * len(paths)
    columns["checksum"] = [dice.randbytes(16) for _ in paths]
    arrays = [pa.array(columns[field.name], field.type) for field in MANIFEST]
    return pa.table(arrays, schema=MANIFEST)
