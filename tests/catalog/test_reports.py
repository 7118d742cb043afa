"""Failures, deletions and flow results are kept as they were given."""

import pytest

from haulage.catalog import failures, results
from haulage.catalog.db.engine import Catalog
from haulage.catalog.deletes import tombstones
from haulage.catalog.deletes.tombstones import Tombstone
from haulage.catalog.failures import Failure
from haulage.catalog.runs import runs
from haulage.catalog.runs.runs import Run
from haulage.errors import LostRunError, RefusedError

NASTY = b"a\nb\xff\\.\t\\N" + b"x" * 4000


def _failure(path: bytes) -> Failure:
    return Failure(path, "copy", "failed", "PermanentError", 13, "no \0 \udcff entry")


def test_failures_replace_those_of_the_try_before(catalog: Catalog, run: Run) -> None:
    failures.add(catalog, run, [_failure(b"old")])
    failures.forget(catalog, run)
    many = [_failure(NASTY + b"%d" % number) for number in range(2500)]
    failures.add(catalog, run, many[:1200])
    failures.add(catalog, run, many[1200:])
    found = failures.of_run(catalog, run.id)
    assert [one.path for one in found] == [NASTY + b"%d" % n for n in range(2500)]
    assert (found[0].errno, found[0].reason) == (13, r"no \x00 \udcff entry")
    assert failures.of_run(catalog, run.id, limit=2) == found[:2]


def test_a_deletion_counts_once_a_run(catalog: Catalog, run: Run) -> None:
    gone = [Tombstone(NASTY + b"%d" % number, 1, 1 << 40) for number in range(1500)]
    assert tombstones.add(catalog, run, "ann", gone[:1400]) == 1400
    assert tombstones.add(catalog, run, "ann", gone) == 100
    assert tombstones.of_run(catalog, run.id) == sorted(gone, key=lambda t: t.path)


def test_a_stale_driver_reports_nothing(catalog: Catalog, run: Run) -> None:
    runs.take_over(catalog, run)
    with pytest.raises(LostRunError):
        failures.add(catalog, run, [_failure(b"a")])
    with pytest.raises(LostRunError):
        tombstones.add(catalog, run, "ann", [Tombstone(b"a", 1, 1)])
    assert failures.of_run(catalog, run.id) == []
    with pytest.raises(LostRunError):
        failures.forget(catalog, run)
    assert tombstones.of_run(catalog, run.id) == []


def test_a_result_is_the_last_that_was_put(catalog: Catalog) -> None:
    for content in (b"first", b"", bytes(range(256))):
        results.put(catalog, "flow/1", content)
        assert results.get(catalog, "flow/1") == content


def test_a_key_without_a_result_is_refused(catalog: Catalog) -> None:
    with pytest.raises(RefusedError, match="no result 'flow/2'"):
        results.get(catalog, "flow/2")
