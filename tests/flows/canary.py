"""Look for a secret wherever a run may have left it, in every form it may have."""

import base64
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from prefect.client.schemas.objects import FlowRun
from psycopg import sql

from tests.flows.up import CHECKOUT, Installation

_DATABASES = ("HAULAGE_CATALOG", "HAULAGE_PREFECT_DATABASE")
_PARQUET = b"PAR1"
_PIECE = 12  # letters and digits, that no encoding changes


@dataclass(frozen=True)
class Canary:
    """A secret that must not be found."""

    secret: str

    def sings_in(self, content: bytes) -> bool:
        """Tell whether the secret, or a telling piece of it, is in `content`."""
        if content.startswith(_PARQUET):
            content += _columns_of(content)
        return any(form in content for form in self._forms())

    def _forms(self) -> Iterator[bytes]:
        plain = self.secret.encode()
        yield plain
        yield quote(self.secret, safe="").encode()
        for piece in re.findall(rb"[A-Za-z0-9]{%d,}" % _PIECE, plain):
            yield piece
            yield piece.hex().encode()
        for skipped in range(3):  # base64 of it within anything else
            whole = len(plain[skipped:]) // 3 * 3
            yield base64.b64encode(plain[skipped:][:whole])


def in_files(canary: Canary, root: Path) -> list[str]:
    """Return the files below `root` that hold it, by content or name."""
    below = [
        Path(where, name)
        for where, _, names in os.walk(root)  # which forgives what vanishes
        for name in (*names, "")
    ]
    return [
        str(path)
        for path in below
        if canary.sings_in(os.fsencode(path))
        or (path.is_file() and canary.sings_in(_read(path)))
    ]


def in_database(canary: Canary, url: str) -> list[str]:
    """Return the tables of a Postgres database that hold it, and in which column."""
    tables = (
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        " AND table_type = 'BASE TABLE'"
    )
    found = []
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(tables).fetchall():
            rows = connection.execute(
                sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
            )
            names = [column.name for column in rows.description or ()]
            found += [
                f"{table}.{name}"
                for row in rows
                for name, value in zip(names, row, strict=True)
                if canary.sings_in(_bytes_of(value))
            ]
    return found


def in_commands(canary: Canary, pids: list[int]) -> list[str]:
    """Return the command lines of processes that hold it."""
    lines = [_read(Path(f"/proc/{pid}/cmdline")) for pid in pids]
    return [repr(line) for line in lines if canary.sings_in(line)]


class Search:
    """Everywhere that a secret must not be, while a run goes on and afterwards."""

    def __init__(self, canary: Canary, installation: Installation) -> None:
        self._canary = canary
        self._installation = installation
        self.found: set[str] = set()
        self.commands_seen = 0

    def look(self) -> None:
        """Look into all files of the installation and at all of its processes."""
        pids = self._installation.processes(b"")
        self.commands_seen += len(pids)
        self.found.update(in_commands(self._canary, pids))
        self.found.update(in_files(self._canary, self._installation.home.parent))

    def until_end(self, run_id: UUID) -> FlowRun:
        """Look again and again until a run has ended, and once more after that."""

        def ended(run: FlowRun) -> bool:
            self.look()
            return bool(run.state and run.state.is_final())

        run = self._installation.wait(run_id, ended)
        self.look()
        for name in _DATABASES:
            url = self._installation.env[name]
            self.found.update(in_database(self._canary, url))
        for words in (["runs"], ["show", _of_catalog(self._installation, run_id)]):
            self.read(said(self._installation.env, *words))
        return run

    def read(self, text: bytes) -> None:
        """Look into what was said."""
        if self._canary.sings_in(text):
            self.found.add(repr(text))


def _of_catalog(installation: Installation, run_id: UUID) -> str:
    """Return the catalog's run of a flow run; the last one if it began none."""
    with psycopg.connect(installation.env["HAULAGE_CATALOG"]) as connection:
        order = "SELECT id FROM runs ORDER BY (flow_run_id = %s) DESC, id DESC LIMIT 1"
        [run] = connection.execute(order, [str(run_id)]).fetchone() or [""]
    return str(run)


def said(env: dict[str, str], *words: str) -> bytes:
    """Return all that a command of Haulage says."""
    done = subprocess.run(
        [sys.executable, "-m", "haulage.cli.main", *words],
        cwd=CHECKOUT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout


def _bytes_of(value: object) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()


def _columns_of(content: bytes) -> bytes:
    """Return what is in a Parquet file, uncompressed."""
    try:
        table = pq.read_table(io.BytesIO(content))
    except pa.ArrowInvalid:  # not all of it is written
        return b""
    return repr(table.to_pylist()).encode() + repr(table.schema.metadata).encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
