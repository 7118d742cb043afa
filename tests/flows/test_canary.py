"""A secret is where it is needed, and found nowhere else."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.credentials import AwsCredentials
from pydantic import SecretStr

from tests.flows.canary import Canary, Search, said
from tests.flows.up import Installation
from tests.servers.fixtures import bucket, rclone_s3
from tests.servers.s3 import S3Server

__all__ = ["bucket", "rclone_s3"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FILES = 1500


@pytest.fixture
def source(tmp_path: Path) -> Path:
    # Flat, because rclone has no markers of directories that hold something.
    (tmp_path / "source").mkdir()
    for number in range(FILES):
        (tmp_path / "source" / f"{number:06}").write_bytes(b"x" * 999)
    return tmp_path / "source"


def save_keys(server: S3Server, secret: str) -> str:
    """Save a block with the server's keys, but this secret, and return its name."""
    name = f"canary-{uuid.uuid4().hex}"
    AwsCredentials(
        aws_access_key_id=server.access_key,
        aws_secret_access_key=SecretStr(secret),
        region_name=server.region,
        aws_client_parameters=AwsClientParameters(endpoint_url=server.endpoint),
    ).save(name)
    return f"aws-credentials/{name}"


def secret_in(block: str) -> str | None:
    """Return the secret that Prefect keeps in a block."""
    kept = AwsCredentials.load(block.partition("/")[2])
    assert isinstance(kept, AwsCredentials)
    secret = kept.aws_secret_access_key
    return secret.get_secret_value() if secret else None


def asked(source: Path, bucket_name: str, credentials: str) -> dict[str, Any]:
    dataset = {
        "name": f"to-{bucket_name}",
        "source": str(source),
        "target": f"s3://{bucket_name}",
        "target_store": {"credentials": credentials},
        # One mover and small shards, so that there is time to look.
        "policy": {"movers": 1, "shards": {"max_entries": 100}},
    }
    return {"dataset": dataset}


@contextmanager
def standing_still(pid: int) -> Iterator[Path]:
    """Hold a process, so that it and its files can be looked at."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield Path(f"/proc/{pid}")
    finally:
        os.kill(pid, signal.SIGCONT)


def written_by(process: Path) -> Iterator[bytes]:
    """Yield the memory that a process has written."""
    with (process / "mem").open("rb", 0) as memory:
        for line in (process / "maps").read_text().splitlines():
            span, mode, *_ = line.split()
            start, end = (int(number, 16) for number in span.split("-"))
            if mode.startswith("rw"):
                memory.seek(start)
                yield memory.read(end - start)


def test_a_run_into_a_bucket_leaves_its_secret_nowhere(
    installation: Installation,
    rclone_s3: S3Server,
    bucket: Callable[[S3Server], str],
    source: Path,
) -> None:
    name = bucket(rclone_s3)
    canary = Canary(rclone_s3.secret_key)
    search = Search(canary, installation)
    block = save_keys(rclone_s3, rclone_s3.secret_key)
    run_id = installation.start("docs-to-bucket", asked(source, name, block))

    def is_moving() -> bool:
        begun = installation.home.glob("work/*/progress/*")
        return bool(movers()) and any(begun)

    movers = lambda: installation.processes(b"haulage.mover")  # noqa: E731
    run = installation.wait(
        run_id, lambda run: is_moving() or bool(run.state and run.state.is_final())
    )
    assert run.state
    assert not run.state.is_final(), run.state
    with standing_still(movers()[0]) as mover:
        assert any(map(canary.sings_in, written_by(mover)))
        assert not canary.sings_in((mover / "environ").read_bytes())
        assert list(installation.home.glob("work/*/shards/*"))
        search.look()
    run = search.until_end(run_id)

    assert search.found == set()
    assert search.commands_seen > 4
    assert run.state
    assert run.state.is_completed(), run.state
    stored = rclone_s3.client().get_paginator("list_objects_v2").paginate(Bucket=name)
    keys = [one["Key"] for page in stored for one in page.get("Contents", ())]
    ours = [key for key in keys if ".haulage-state-" not in key]
    assert sum(not key.endswith("/") for key in ours) == FILES
    assert rclone_s3.secret_key == secret_in(block)


@pytest.mark.torture
def test_a_run_with_a_wrong_secret_fails_and_does_not_tell_it(
    installation: Installation,
    rclone_s3: S3Server,
    bucket: Callable[[S3Server], str],
    source: Path,
) -> None:
    name = bucket(rclone_s3)
    wrong = uuid.uuid4().hex + uuid.uuid4().hex
    search = Search(Canary(wrong), installation)
    block = save_keys(rclone_s3, wrong)
    run_id = installation.start("docs-to-bucket", asked(source, name, block))
    run = search.until_end(run_id)
    assert search.found == set()
    assert search.commands_seen > 4
    assert run.state
    assert run.state.is_failed(), run.state
    assert f"s3://{name}" in str(run.state.message)
    assert not rclone_s3.client().list_objects_v2(Bucket=name).get("Contents")


@pytest.mark.torture
def test_a_run_without_its_block_fails_and_names_it(
    installation: Installation, source: Path
) -> None:
    nowhere = asked(source, "bucket", "aws-credentials/absent")
    run = installation.finished(installation.start("docs-to-bucket", nowhere))
    assert run.state
    assert run.state.is_failed(), run.state
    assert "aws-credentials/absent does not exist" in str(run.state.message)


@pytest.mark.parametrize(
    "right", [pytest.param(True, marks=pytest.mark.torture), False]
)
def test_the_command_line_does_not_tell_the_secret_of_its_environment(
    installation: Installation,
    rclone_s3: S3Server,
    bucket: Callable[[S3Server], str],
    source: Path,
    right: bool,
) -> None:
    secret = rclone_s3.secret_key if right else uuid.uuid4().hex
    search = Search(Canary(secret), installation)
    name = bucket(rclone_s3)
    env = installation.env | rclone_s3.environment() | {"AWS_SECRET_ACCESS_KEY": secret}
    ends = [str(source), f"s3://{name}"]
    told = said(env, "sync", *ends, "--target-endpoint", rclone_s3.endpoint)
    search.read(told)
    search.look()
    assert search.found == set()
    assert (f"s3://{name}" in told.decode()) or right, told
    stored = rclone_s3.client().list_objects_v2(Bucket=name)
    assert ("Contents" in stored) is right, told
