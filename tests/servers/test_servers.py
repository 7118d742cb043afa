"""Each server starts, stores, and has the traits for which it was chosen."""

import http.client
import os
import subprocess
import sys
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.servers.processes import Command, ServerFailedError, free_port, running
from tests.servers.rclone import rclone
from tests.servers.slurm import MAX_ARRAY_SIZE, NODES

SERVERS = [
    *("localstack", "moto_s3", "rclone_s3", "versitygw"),
    pytest.param("minio", marks=pytest.mark.torture),
]


@pytest.fixture(params=SERVERS)
def server(request):
    """Return each of the servers in turn."""
    return request.getfixturevalue(request.param)


def test_every_server_gives_back_what_was_put(server, bucket):
    name, client, body = bucket(server), server.client(), os.urandom(100_000)
    client.put_object(Bucket=name, Key="a/b", Body=body)
    assert client.get_object(Bucket=name, Key="a/b")["Body"].read() == body
    listed = client.list_objects_v2(Bucket=name)["Contents"]
    assert [(each["Key"], each["Size"]) for each in listed] == [("a/b", 100_000)]


def test_every_bucket_is_another_one(server, bucket):
    first, second = bucket(server), bucket(server)
    server.client().put_object(Bucket=first, Key="a", Body=b"x")
    assert "Contents" not in server.client().list_objects_v2(Bucket=second)


def test_every_server_listens_on_this_machine_only(server):
    port = f"{urlsplit(server.endpoint).port:04X}"
    with open("/proc/net/tcp") as table, open("/proc/net/tcp6") as table6:
        rows = [line.split() for line in [*table, *table6]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(port)]
    loopback = {f"0100007F:{port}", f"{'0' * 24}01000000:{port}"}
    assert set(listening) <= loopback
    assert listening


def test_another_process_finds_a_server_by_its_environment(rclone_s3, bucket):
    name = bucket(rclone_s3)
    child = f"import boto3; boto3.client('s3').head_bucket(Bucket={name!r})"
    environment = {"PATH": os.environ["PATH"], **rclone_s3.environment()}
    subprocess.run([sys.executable, "-c", child], env=environment, check=True)


def test_rclone_refuses_a_signature_by_another_key(rclone_s3, bucket):
    name, stranger = bucket(rclone_s3), replace(rclone_s3, secret_key="x" * 40)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.client().list_objects_v2(Bucket=name)


def test_localstack_heeds_conditions_and_refuses_a_wrong_digest(localstack, bucket):
    name, client = bucket(localstack), localstack.client()
    client.put_object(Bucket=name, Key="a", Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=name, Key="a", Body=b"y", IfNoneMatch="*")
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(Bucket=name, Key="a", Body=b"y", ContentMD5="A" * 22 + "==")


def test_localstack_keeps_its_objects_in_a_directory_of_its_own(localstack, bucket):
    name = bucket(localstack)
    localstack.client().put_object(Bucket=name, Key="a", Body=b"x")
    assert (localstack.log.parent / "data/objects" / name).exists()


def test_a_server_has_ended_after_its_block_and_only_its_log_is_left(tmp_path):
    with rclone(tmp_path) as server:
        address = urlsplit(server.endpoint).netloc
        assert (tmp_path / "data").exists()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(address).request("GET", "/")
    assert list(tmp_path.iterdir()) == [server.log]


def test_a_server_that_does_not_start_says_what_its_log_says(tmp_path):
    words = [sys.executable, "-c", "raise SystemExit('out of cheese')"]
    with (
        pytest.raises(ServerFailedError, match=r"has ended(.|\n)*out of cheese"),
        running(Command(words, {}, free_port()), tmp_path),
    ):
        raise AssertionError


def test_a_cluster_of_slurm_runs_an_array_on_its_nodes(slurm, tmp_path):
    script = tmp_path / "job"
    script.write_text('#!/bin/sh\necho "$SLURMD_NODENAME"\n')
    words = ["--array=0-7", f"--output={tmp_path}/%a", "--cpus-per-task=2"]
    slurm.run("sbatch", *words, str(script))
    slurm.wait_until(lambda: not slurm.run("squeue", "-h"))
    assert {(tmp_path / str(task)).read_text() for task in range(8)} == {
        f"{node}\n" for node in NODES
    }


def test_a_cluster_of_slurm_takes_no_larger_array_than_it_says(slurm):
    with pytest.raises(ServerFailedError, match="Invalid job array specification"):
        slurm.run("sbatch", f"--array=0-{MAX_ARRAY_SIZE}", "--wrap=true")


def test_a_node_that_was_killed_comes_back(slurm):
    slurm.run("sbatch", "-w", "n2", "--output=/dev/null", "--wrap=sleep 300")
    slurm.wait_until(lambda: slurm.state_of("n2") != "idle")
    slurm.kill_node("n2")
    slurm.kill_controller()
    slurm.clear()
    assert slurm.is_up("n2")
