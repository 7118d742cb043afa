import json
import os
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from haulage.errors import FatalError
from haulage.exchange.shard_files import (
    Order,
    read_outcomes,
    read_shard,
    write_outcomes,
    write_shard,
)
from haulage.model import ACTION, OUTCOME, Loss, Lost, Outcome, Status, Verb, Verified
from tests.engine_builders import action_on as on
from tests.engine_builders import actions_table, entry, job_between, put
from tests.trees.names import GROUPS

NASTY = [b"", b"a/", *(name for group in GROUPS for name in group), b"d/" * 3000]


@pytest.fixture
def some(tmp_path):
    put(tmp_path / "s", b"x", b"abc")
    like = on(tmp_path / "s", b"x")
    return actions_table([like._replace(path=path) for path in NASTY])


def test_a_shard_reads_back_as_it_was_written(tmp_path, some):
    job = job_between(tmp_path, Path("/target \udcff"), hashing=False, fsync=True)
    write_shard(tmp_path / "shard", some, job)
    table, back = read_shard(tmp_path / "shard")
    assert back == job
    assert table.schema == ACTION
    assert table.equals(some)
    assert table["path"].to_pylist() == NASTY


def test_a_shard_with_extreme_numbers_reads_back_as_it_was_written(tmp_path, some):
    rng = random.Random(1)
    rows = some.to_pylist()
    for row in rows:
        row |= {
            "uid": 2**32 - 1,
            "ino": 2**64 - 1,
            "dev": 2**64 - 1,
            "mtime_s": rng.choice([-(2**62), -1, 2**62]),
            "mtime_ns": 999_999_999,
            "size": 2**63 - 1,
            "checksum": rng.choice([None, rng.randbytes(16)]),
            "target": rng.choice([None, b"", b"\xff\n"]),
        }
    table = type(some).from_pylist(rows, schema=ACTION)
    write_shard(tmp_path / "shard", table, job_between(tmp_path, tmp_path))
    assert read_shard(tmp_path / "shard")[0].equals(table)


def test_a_shard_of_another_format_is_fatal_and_says_what_to_install(tmp_path, some):
    write_shard(tmp_path / "shard", some, job_between(tmp_path, tmp_path, format=99))
    with pytest.raises(FatalError, match="format 99, this mover reads 6"):
        read_shard(tmp_path / "shard")


def test_a_shard_of_a_later_version_with_more_fields_is_fatal_too(tmp_path, some):
    job = {"format": 99, "source": "/a", "target": "/b", "invented_later": True}
    metadata = {b"haulage": json.dumps(job).encode()}
    pq.write_table(some.replace_schema_metadata(metadata), tmp_path / "shard")
    with pytest.raises(FatalError, match="format 99, this mover reads 6"):
        read_shard(tmp_path / "shard")


def test_a_shard_has_its_name_only_when_it_is_complete(tmp_path, some):
    write_shard(tmp_path / "shard", some, job_between(tmp_path, tmp_path))
    names = {name for name in os.listdir(tmp_path) if name != "s"}
    assert names == {"shard"}


def test_outcomes_read_back_in_the_order_of_their_actions(tmp_path, some):
    outcomes = [
        Outcome(
            Status.COPIED, bytes([row % 256]) * 16, Verified.NONE, racy=bool(row % 2)
        )
        for row in range(some.num_rows)
    ]
    outcomes[3] = Outcome(Status.FAILED, errno=13, reason="é: not \\ allowed")
    write_outcomes(tmp_path / "out", some, outcomes)
    table = read_outcomes(tmp_path / "out")
    assert table.schema == OUTCOME
    assert table["path"].to_pylist() == NASTY
    assert table["status"].to_pylist() == [outcome.status for outcome in outcomes]
    assert table["racy"].to_pylist() == [outcome.racy for outcome in outcomes]
    assert table["checksum"].to_pylist() == [outcome.checksum for outcome in outcomes]
    assert table["reason"][3].as_py() == "é: not \\ allowed"
    assert table["errno"][3].as_py() == 13
    assert set(table["verb"].to_pylist()) == {Verb.COPY}


def test_an_outcome_carries_the_entry_that_the_mover_saw(tmp_path, some):
    seen = entry(b"ignored", size=77, mtime_s=-5, ino=2**64 - 1, mode=0o4711, uid=3)
    outcomes = [Outcome(Status.COPIED)] * some.num_rows
    outcomes[2] = Outcome(Status.COPIED, entry=seen)
    write_outcomes(tmp_path / "out", some, outcomes)
    rows, was = read_outcomes(tmp_path / "out").to_pylist(), some.to_pylist()
    for name, value in seen._asdict().items():
        if name not in ("path", "target"):
            assert rows[2][name] == value, name
            assert rows[1][name] == was[1][name], name
    assert rows[2]["path"] == NASTY[2]


def test_the_tally_counts_statuses_and_bytes_and_losses_by_kind(tmp_path, some):
    kinds = [
        Outcome(Status.COPIED, moved=5),
        Outcome(Status.COPIED, moved=7, lost=Lost(Loss.OWNER | Loss.ACL, "not kept")),
        Outcome(Status.FAILED, reason="no"),
        Outcome(Status.KEPT, reason="has content"),
    ]
    outcomes = [kinds[row % 4] for row in range(some.num_rows)]
    tally = write_outcomes(tmp_path / "out", some, outcomes)
    count = [sum(outcome is kind for outcome in outcomes) for kind in kinds]
    assert tally == {
        "copied": count[0] + count[1],
        "failed": count[2],
        "kept": count[3],
        "bytes": 5 * count[0] + 7 * count[1],
        "lost": count[1],
        "lost_mode": 0,
        "lost_owner": count[1],
        "lost_acl": count[1],
        "lost_xattr": 0,
        "lost_capability": 0,
        "lost_marker": 0,
        "lost_link": 0,
        "lost_flags": 0,
        "lost_time": 0,
        "lost_layout": 0,
        "lost_untrusted": 0,
    }


def test_an_order_survives_its_line():
    order = Order(
        shard=Path("/w/a \udcff\nb"),
        outcome=Path("/w/o"),
        progress=Path("/w/p"),
        token="abc",
        dead_tokens=("d1", "d2"),
        only_sweep=True,
    )
    line = order.to_line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Order.from_line(line) == order
