"""A disk that says only at close that it did not take what was written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from haulage.exchange.shard_files import Order, read_outcomes
from haulage.model import Action, Status, Verb
from haulage.storage.tree.files import split_temp_name, temp_name
from tests.engine_builders import action_on, job_between, order_for, put, read
from tests.trees.compare import leftovers

TOKEN, OF_RUN = "c105e0000000", "0123456789ab"
HALF = 300_000


def outcomes_with_fault(order: Order, closed: Path) -> pa.Table:
    """Have a mover do an order while the close of one file fails for every process."""
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(closed)]
    words += ["-e", "inject=close:error=EIO", sys.executable, "-m", "haulage.cli.main"]
    words += ["run-shard", str(order.shard), "--outcome", str(order.outcome)]
    done = subprocess.run([*words, "--token", TOKEN], capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    tally: dict[str, Any] = json.loads(done.stdout)["tally"]
    assert tally["failed"] == 1
    return read_outcomes(order.outcome)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_file_whose_close_fails_is_told_and_does_not_get_its_name(
    ends: Any, tmp_path: Path, size: int
) -> None:
    for name in (b"a", b"b", b"c"):
        put(ends.source, name, b"n" * size)
        put(ends.target, name, b"as it was")
    actions = [action_on(ends.source, name) for name in (b"a", b"b", b"c")]
    order = order_for(tmp_path / "work", actions, job_between(*roots(ends)), TOKEN)
    temp = ends.target / os.fsdecode(temp_name(TOKEN, 1))
    found = outcomes_with_fault(order, temp).to_pylist()
    assert [row["status"] for row in found] == [
        Status.COPIED,
        Status.FAILED,
        Status.COPIED,
    ]
    assert found[1]["errno"] == errno.EIO
    assert "Input/output error" in found[1]["reason"]
    assert read(ends.target, b"b") == b"as it was"
    assert leftovers(ends.target) == []


def test_a_part_whose_close_fails_is_not_counted_as_arrived(
    ends: Any, tmp_path: Path
) -> None:
    put(ends.source, b"split", b"s" * 2 * HALF)
    parts = [part(ends.source, offset) for offset in (0, HALF)]
    order = order_for(tmp_path / "work", parts[1:], job_between(*roots(ends)), TOKEN)
    prefix = temp_name(OF_RUN, "")
    temp = ends.target / os.fsdecode(split_temp_name(prefix, b"split"))
    (row,) = outcomes_with_fault(order, temp).to_pylist()
    assert (row["status"], row["errno"]) == (Status.FAILED, errno.EIO)
    temp.unlink()


def part(source: Path, offset: int) -> Action:
    return action_on(source, b"split", Verb.PART, offset=offset, length=HALF)


def roots(ends: Any) -> tuple[Path, Path]:
    return ends.source, ends.target
