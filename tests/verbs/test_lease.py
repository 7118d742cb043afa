"""Nobody acts under a lease that is over."""

import os

import pytest

from haulage.boottime import now_s
from haulage.errors import CancelledError
from haulage.verbs.attempt.lease import Lease
from haulage.workers.mover import run_shard
from tests.engine_builders import action_on, job_between, order_for, put


def test_a_mover_does_nothing_before_the_lease_is_renewed_and_after_it_is_over(
    ends, tmp_path
):
    put(ends.source, b"f", b"content")
    workspace = tmp_path / "run" / "shards"
    workspace.mkdir(parents=True)
    action = action_on(ends.source, b"f")
    order = order_for(
        workspace, [action], job_between(ends.source, ends.target), "a" * 12
    )
    assert order.lease is not None
    lease = Lease.begin(order.lease)
    for until_s in (0.0, now_s() - 0.01):
        lease.renew(until_s)
        with pytest.raises(CancelledError):
            run_shard(order, lambda: False)
        assert os.listdir(ends.target) == []
    lease.renew(now_s() + 60)
    assert run_shard(order, lambda: False)["copied"] == 1
    lease.close()
