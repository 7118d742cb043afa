"""Does the search for a canary find one?"""

import base64
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.flows.canary import Canary, in_commands, in_database, in_files
from tests.postgres import PostgresServer

SECRET = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"


@pytest.mark.parametrize(
    "content",
    [
        f"secret: {SECRET}\n".encode(),
        b"?X-Amz-Secret=je7MtGbClwBF%2F2Zp9Utk%2Fh3yCo8nvbEXAMPLEKEY",
        base64.b64encode(b"x" + SECRET.encode() + b"y"),
        base64.b64encode(b"xx" + SECRET.encode()),
        SECRET.encode().hex().encode(),
        b'{"secret": "je7MtGbClwBF\\/2Zp9Utk\\/h3yCo8nvbEXAMPLEKEY"}',
    ],
)
def test_a_planted_secret_is_found_in_any_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(content)
    assert in_files(Canary(SECRET), tmp_path) == [str(tmp_path / "a" / "b" / "c")]


def parquet(value: str) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"name": [value] * 99}), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def test_a_planted_secret_is_found_in_what_is_compressed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(parquet(SECRET))
    assert in_files(Canary(SECRET), tmp_path) == [str(tmp_path / "file")]


def test_a_planted_secret_is_found_in_any_column(postgres: PostgresServer) -> None:
    url = postgres.fresh_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE t (a text, b jsonb, c bytea, d bytea, e text)")
        connection.execute(
            "INSERT INTO t VALUES (%s, jsonb_build_object('x', %s::text), %s, %s, %s)",
            [SECRET, SECRET, SECRET.encode(), parquet(SECRET), "harmless"],
        )
    assert in_database(Canary(SECRET), url) == ["t.a", "t.b", "t.c", "t.d"]


def test_a_planted_secret_is_found_in_a_command_line() -> None:
    words = [sys.executable, "-c", "print(flush=True); input()", f"--secret={SECRET}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()  # until it runs, it may have no command line yet
        [line] = in_commands(Canary(SECRET), [process.pid, os.getpid()])
        assert "--secret" in line
        process.communicate(b"\n")
